// fermatad: reads its configuration and runs the daemon. The way in for readers is cri/daemon.cc.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "cri/daemon.h"
#include "cri/daemon_flags.h"
#include "cri/privileges.h"
#include "cri/version.h"
#include "runtime/base/log.h"

namespace {

using fermata::Result;
using fermata::cri::DaemonConfig;

void AddOptions(CLI::App& app, fermata::cri::DaemonFlags& flags) {
  app.set_version_flag("--version", std::string("fermatad ") + fermata::cri::kRuntimeVersion);
  fermata::cri::AddDaemonFlags(app, flags);
  app.add_option("--exit-when-idle", flags.values.exit_when_idle_seconds,
                 "end after so many seconds without a pod and without a client (0: never)");
}

// Flags win over files.
Result<DaemonConfig> Merge(const CLI::App& app, const fermata::cri::DaemonFlags& flags) {
  fermata::cri::ConfigSources sources;
  ASSIGN_OR_RETURN(DaemonConfig config, fermata::cri::MergeConfig(app, flags, sources));
  config.exit_when_idle_seconds = flags.values.exit_when_idle_seconds;
  RETURN_IF_ERROR(fermata::log::Setup({config.log_level, config.log.format}));
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
  fermata::cri::DaemonFlags flags;
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
