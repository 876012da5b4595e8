#include "cri/daemon_flags.h"

namespace fermata::cri {
namespace {

// Flags that stand for a key.
struct Flag {
  const char* flag;
  const char* key;
  const char* help;
  std::string& (*value)(DaemonConfig& config);
};

constexpr std::array kFlags = {
    Flag{"--socket", "socket", "unix socket to serve on (default: RUN-DIR/fermata.sock)",
         [](DaemonConfig& c) -> std::string& { return c.socket; }},
    Flag{"--data-dir", "data_dir", "images and state that survive a reboot",
         [](DaemonConfig& c) -> std::string& { return c.data_dir; }},
    Flag{"--run-dir", "run_dir", "sockets and state that a reboot may lose",
         [](DaemonConfig& c) -> std::string& { return c.run_dir; }},
    Flag{"--cni-conf-dir", "network.cni_conf_dir", "CNI configuration",
         [](DaemonConfig& c) -> std::string& { return c.cni_conf_dir; }},
    Flag{"--log-level", "log_level", "trace, debug, info, warn or error",
         [](DaemonConfig& c) -> std::string& { return c.log_level; }},
    Flag{"--log-format", "log.format", "text, json (an object a line) or journald (fields in the journal)",
         [](DaemonConfig& c) -> std::string& { return c.log.format; }},
};

}  // namespace

void AddDaemonFlags(CLI::App& app, DaemonFlags& flags) {
  app.add_option("--config", flags.config, "configuration file (TOML); conf.d/*.toml beside it is read after it")
      ->capture_default_str();
  for (const Flag& flag : kFlags) app.add_option(flag.flag, flag.value(flags.values), flag.help)->capture_default_str();
  app.add_option("--cni-bin-dir", flags.values.cni_bin_dirs, "CNI plugins; may be given more than once")
      ->capture_default_str();
}

Result<DaemonConfig> MergeConfig(const CLI::App& app, const DaemonFlags& flags, ConfigSources& sources) {
  DaemonConfig config;
  RETURN_IF_ERROR(ReadConfig(flags.config, app.count("--config") != 0, config, sources));
  DaemonConfig given = flags.values;
  for (const Flag& flag : kFlags) {
    if (app.count(flag.flag) == 0) continue;
    flag.value(config) = flag.value(given);
    sources[flag.key] = flag.flag;
  }
  if (app.count("--cni-bin-dir") != 0) {
    config.cni_bin_dirs = given.cni_bin_dirs;
    sources["network.cni_bin_dir"] = "--cni-bin-dir";
  }
  return config;
}

}  // namespace fermata::cri
