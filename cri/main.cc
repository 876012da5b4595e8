// fermatad: reads its configuration and runs the daemon. The way in for readers is cri/daemon.cc.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "cri/daemon.h"
#include "cri/privileges.h"
#include "cri/version.h"
#include "runtime/base/log.h"

namespace {

using fermata::Result;
using fermata::cri::DaemonConfig;

constexpr const char* kDefaultConfig = "/etc/fermata/config.toml";

struct Flags {
  std::string config = kDefaultConfig;
  DaemonConfig values;  // only those given on the command line count
};

void AddOptions(CLI::App& app, Flags& flags) {
  app.set_version_flag("--version", std::string("fermatad ") + fermata::cri::kRuntimeVersion);
  app.add_option("--config", flags.config, "configuration file (TOML); conf.d/*.toml beside it is read after it")
      ->capture_default_str();
  app.add_option("--socket", flags.values.socket, "unix socket to serve on (default: RUN-DIR/fermata.sock)");
  app.add_option("--data-dir", flags.values.data_dir, "images and state that survive a reboot")->capture_default_str();
  app.add_option("--run-dir", flags.values.run_dir, "sockets and state that a reboot may lose")->capture_default_str();
  app.add_option("--cni-conf-dir", flags.values.cni_conf_dir, "CNI configuration")->capture_default_str();
  app.add_option("--cni-bin-dir", flags.values.cni_bin_dirs, "CNI plugins; may be given more than once")
      ->capture_default_str();
  app.add_option("--log-level", flags.values.log_level, "trace, debug, info, warn or error")->capture_default_str();
  app.add_option("--exit-when-idle", flags.values.exit_when_idle_seconds,
                 "end after so many seconds without a pod and without a client (0: never)");
}

// Flags win over files.
Result<DaemonConfig> Merge(const CLI::App& app, const Flags& flags) {
  DaemonConfig config;
  RETURN_IF_ERROR(fermata::cri::ReadConfig(flags.config, app.count("--config") != 0, config));
  if (app.count("--socket") != 0) config.socket = flags.values.socket;
  if (app.count("--data-dir") != 0) config.data_dir = flags.values.data_dir;
  if (app.count("--run-dir") != 0) config.run_dir = flags.values.run_dir;
  if (app.count("--cni-conf-dir") != 0) config.cni_conf_dir = flags.values.cni_conf_dir;
  if (app.count("--cni-bin-dir") != 0) config.cni_bin_dirs = flags.values.cni_bin_dirs;
  if (app.count("--log-level") != 0) config.log_level = flags.values.log_level;
  config.exit_when_idle_seconds = flags.values.exit_when_idle_seconds;
  RETURN_IF_ERROR(fermata::log::Setup(config.log_level));
  return config;
}

// A pod needs a handful of descriptors here; the default of 1,024 would end at some hundred pods.
void RaiseFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // as far as permitted
}

}  // namespace

int main(int argc, char** argv) {
  // Before any thread exists, so that all inherit it: signals are taken in one place.
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  (void)std::signal(SIGPIPE, SIG_IGN);
  ::umask(022);
  RaiseFileLimit();
  // Many short-lived threads, each with an arena of its own, would keep memory that nobody uses.
  (void)::mallopt(M_ARENA_MAX, 2);

  CLI::App app("fermatad - the daemon of the container runtime Fermata: Kubernetes CRI and pods from YAML");
  Flags flags;
  AddOptions(app, flags);
  CLI11_PARSE(app, argc, argv);
  const auto config = Merge(app, flags);
  if (!config) {
    std::cerr << "fermatad: " << config.error().message() << "\n";
    return 2;
  }
  if (const auto dropped = fermata::cri::DropPrivileges(); !dropped) {
    std::cerr << "fermatad: drop privileges: " << dropped.error().message() << "\n";
    return 1;
  }
  const auto done = fermata::cri::RunDaemon(*config);
  if (!done) {
    std::cerr << "fermatad: " << done.error().message() << "\n";
    return 1;
  }
  return 0;
}
