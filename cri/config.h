// The daemon's configuration: defaults, then /etc/fermata/config.toml and conf.d/*.toml in order, then flags.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cgroups/settings.h"
#include "runtime/base/result.h"

namespace fermata::cri {

// Table [streaming]: where clients of exec, attach and port-forward come.
struct StreamingConfig {
  std::string address = "127.0.0.1";
  int64_t port = 0;               // 0: any
  std::string tls_cert, tls_key;  // PEM files; empty: plain HTTP
  std::string client_ca;          // clients need a certificate of these authorities
  int64_t creation_timeout_seconds = 30;
  int64_t idle_timeout_seconds = 4 * 3600;
};

// Table [log].
struct LogConfig {
  std::string format = "text";       // text, json, journald
  int64_t slow_operation_ms = 5000;  // 0: none is called slow
};

// Table [metrics]: the page for Prometheus.
struct MetricsConfig {
  std::string address;  // of loopback; empty: no page
  int64_t port = 9477;  // 0: any
};

struct DaemonConfig {
  std::string data_dir = "/var/lib/fermata";
  std::string run_dir = "/run/fermata";
  std::string socket;  // empty: run_dir/fermata.sock
  std::string log_level = "info";
  std::string cni_conf_dir = "/etc/cni/net.d";
  std::vector<std::string> cni_bin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};  // network.cni_bin_dir: one, or a list
  std::string cni_conf_template;                                             // network.cni_conf_template
  bool builtin_for_cri = false;                                              // network.cri = "builtin"
  std::vector<std::string> subnets;                                          // network.subnets: of the built-in network
  std::vector<std::string> direct;                                           // network.direct
  int64_t mtu = 0;                                                           // network.mtu
  bool builtin_for_pods = true;                                              // network.pods = "none" takes it away
  cgroups::MissingControllers missing_controllers = cgroups::MissingControllers::kError;
  bool show_local_pods = false;  // cri.show_local_pods
  bool reject_missing_host_path = false;
  std::string registry_hosts_dir = "/etc/fermata/certs.d";                    // images.hosts_dir
  std::vector<std::string> registry_auth_files = {"/etc/fermata/auth.json"};  // images.auth_files
  std::vector<std::string> signature_policies = {"/etc/fermata/policy.json",  // images.signature_policy: one, or a list
                                                 "/etc/containers/policy.json"};
  std::vector<std::string> pinned_images;        // images.pinned
  int64_t no_progress_seconds = 60;              // images.no_progress_seconds
  std::string pods_dir = "/etc/fermata/pods.d";  // pods.dir; empty: none
  int exit_when_idle_seconds = 0;                // 0: stays
  StreamingConfig streaming;
  MetricsConfig metrics;
  LogConfig log;

  [[nodiscard]] std::string SocketPath() const { return socket.empty() ? run_dir + "/fermata.sock" : socket; }
  // Where the socket is made; it is moved to its place when it is ready.
  [[nodiscard]] std::string UnreadySocketPath() const { return SocketPath() + ".new"; }
  // The directory of manifests; empty: none. The default one belongs to the default instance alone.
  [[nodiscard]] std::string PodsDir() const;
  // Eight hex digits of SHA-256 of the data directory; empty for the default one. Names what several
  // instances on one machine must not share.
  [[nodiscard]] std::string Instance() const;
};

// Where the value of a key comes from: "FILE:LINE", or the flag. Keys without one have their default.
using ConfigSources = std::map<std::string, std::string>;

// Reads one file over `config`. kInvalidArgument with file and line for what is no TOML, an unknown key, or a
// value of the wrong type: all of them, a line each.
Result<> ReadConfigFile(const std::string& path, DaemonConfig& config, ConfigSources& sources);

// What is wrong with values that are fine each for itself, and what the daemon would refuse at its start: a line each.
// config_check.cc
Result<> CheckConfig(const DaemonConfig& config);

struct ConfigValue {
  std::string name;    // with the table
  std::string value;   // TOML
  std::string source;  // as in ConfigSources, or "default"
};
std::vector<ConfigValue> ShowConfig(DaemonConfig config, const ConfigSources& sources);

// All keys, with their tables: "network.mtu".
std::vector<std::string_view> ConfigKeys();

// The file and then the *.toml of the directory conf.d beside it, in lexical order. A missing default file is
// no error; one that was named (`required`) is.
Result<> ReadConfig(const std::string& path, bool required, DaemonConfig& config, ConfigSources& sources);

}  // namespace fermata::cri
