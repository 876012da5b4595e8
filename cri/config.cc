#include "cri/config.h"

#include <fcntl.h>
#include <openssl/evp.h>

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <filesystem>

#include "runtime/base/file.h"

namespace fermata::cri {
namespace {

Error Invalid(const std::string& file, const toml::source_region& where, std::string_view why) {
  return Error::Make(ErrorCode::kInvalidArgument, file, ":", std::to_string(where.begin.line), ": ", why);
}

template <typename T>
Result<> Take(const std::string& file, const toml::node& node, std::string_view kind, T& out) {
  const auto value = node.value_exact<T>();
  if (!value) return Invalid(file, node.source(), std::string("must be ") + std::string(kind));
  out = *value;
  return {};
}

Result<> TakeList(const std::string& file, const toml::node& node, std::vector<std::string>& out) {
  std::vector<std::string> list;
  if (const auto one = node.value_exact<std::string>()) list.push_back(*one);
  const toml::array* array = node.as_array();
  if (list.empty() && array == nullptr) return Invalid(file, node.source(), "must be a string or a list of strings");
  for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
    RETURN_IF_ERROR(Take(file, *array->get(i), "a list of strings", list.emplace_back()));
  }
  out = std::move(list);
  return {};
}

Result<> TakeMissing(const std::string& file, const toml::node& node, DaemonConfig& config) {
  std::string word;
  RETURN_IF_ERROR(Take(file, node, "a string", word));
  if (word != "error" && word != "warn") return Invalid(file, node.source(), "must be \"error\" or \"warn\"");
  config.missing_controllers =
      word == "warn" ? cgroups::MissingControllers::kWarn : cgroups::MissingControllers::kError;
  return {};
}

Result<> TakeNumber(const std::string& file, const toml::node& node, int64_t least, int64_t most, int64_t& out) {
  const auto value = node.value_exact<int64_t>();
  if (!value || *value < least || *value > most) {
    return Invalid(file, node.source(),
                   "must be a number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  out = *value;
  return {};
}

constexpr int64_t kMaxPort = 65535;
constexpr int64_t kDay = 24 * 3600;

// One of two words; true for the second.
Result<> TakeChoice(const std::string& file, const toml::node& node, const std::string& no, const std::string& yes,
                    bool& out) {
  std::string word;
  RETURN_IF_ERROR(Take(file, node, "a string", word));
  if (word != no && word != yes) return Invalid(file, node.source(), "must be \"" + no + "\" or \"" + yes + "\"");
  out = word == yes;
  return {};
}

struct Key {
  std::string_view name;  // with the table: "cri.show_local_pods"
  Result<> (*read)(const std::string& file, const toml::node& node, DaemonConfig& config);
};

constexpr std::array kKeys = {
    Key{"data_dir", [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.data_dir); }},
    Key{"run_dir", [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.run_dir); }},
    Key{"socket", [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.socket); }},
    Key{"log_level", [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.log_level); }},
    Key{"network.cni_conf_dir",
        [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.cni_conf_dir); }},
    Key{"network.cni_bin_dir", [](auto& f, auto& n, DaemonConfig& c) { return TakeList(f, n, c.cni_bin_dirs); }},
    Key{"network.cni_conf_template",
        [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.cni_conf_template); }},
    Key{"network.subnets", [](auto& f, auto& n, DaemonConfig& c) { return TakeList(f, n, c.subnets); }},
    Key{"network.direct", [](auto& f, auto& n, DaemonConfig& c) { return TakeList(f, n, c.direct); }},
    Key{"network.mtu", [](auto& f, auto& n, DaemonConfig& c) { return TakeNumber(f, n, 1280, 65535, c.mtu); }},
    Key{"network.cri",
        [](auto& f, auto& n, DaemonConfig& c) { return TakeChoice(f, n, "cni", "builtin", c.builtin_for_cri); }},
    Key{"network.pods",
        [](auto& f, auto& n, DaemonConfig& c) { return TakeChoice(f, n, "none", "builtin", c.builtin_for_pods); }},
    Key{"pods.dir", [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.pods_dir); }},
    Key{"images.hosts_dir",
        [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.registry_hosts_dir); }},
    Key{"images.auth_files", [](auto& f, auto& n, DaemonConfig& c) { return TakeList(f, n, c.registry_auth_files); }},
    Key{"images.signature_policy",
        [](auto& f, auto& n, DaemonConfig& c) { return TakeList(f, n, c.signature_policies); }},
    Key{"images.pinned", [](auto& f, auto& n, DaemonConfig& c) { return TakeList(f, n, c.pinned_images); }},
    Key{"images.no_progress_seconds",
        [](auto& f, auto& n, DaemonConfig& c) { return TakeNumber(f, n, 1, 3600, c.no_progress_seconds); }},
    Key{"cgroup.missing_controllers", TakeMissing},
    Key{"cri.show_local_pods",
        [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "true or false", c.show_local_pods); }},
    Key{"cri.reject_missing_host_path",
        [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "true or false", c.reject_missing_host_path); }},
    Key{"streaming.address",
        [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.streaming.address); }},
    Key{"streaming.port",
        [](auto& f, auto& n, DaemonConfig& c) { return TakeNumber(f, n, 0, kMaxPort, c.streaming.port); }},
    Key{"streaming.tls_cert",
        [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.streaming.tls_cert); }},
    Key{"streaming.tls_key",
        [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.streaming.tls_key); }},
    Key{"streaming.client_ca",
        [](auto& f, auto& n, DaemonConfig& c) { return Take(f, n, "a string", c.streaming.client_ca); }},
    Key{"streaming.creation_timeout_seconds",
        [](auto& f, auto& n,
           DaemonConfig& c) { return TakeNumber(f, n, 1, kDay, c.streaming.creation_timeout_seconds); }},
    Key{"streaming.idle_timeout_seconds", [](auto& f, auto& n, DaemonConfig& c) {
          return TakeNumber(f, n, 1, 365 * kDay, c.streaming.idle_timeout_seconds);
        }}};

Result<> ReadTable(const std::string& file, const toml::table& table, const std::string& prefix, DaemonConfig& config) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table(); inner != nullptr) {
      RETURN_IF_ERROR(ReadTable(file, *inner, name + ".", config));
      continue;
    }
    const Key* known = nullptr;
    for (const Key& candidate : kKeys) {
      if (candidate.name == name) known = &candidate;
    }
    if (known == nullptr) return Invalid(file, node.source(), "unknown key " + name);
    RETURN_IF_ERROR(known->read(file, node, config), name);
  }
  return {};
}

}  // namespace

std::string DaemonConfig::PodsDir() const {
  return pods_dir == DaemonConfig{}.pods_dir && !Instance().empty() ? "" : pods_dir;
}

std::string DaemonConfig::Instance() const {
  if (data_dir == DaemonConfig{}.data_dir) return {};
  std::array<unsigned char, 32> digest{};
  unsigned length = 0;
  (void)EVP_Digest(data_dir.data(), data_dir.size(), digest.data(), &length, EVP_sha256(), nullptr);
  std::string hex;
  for (size_t i = 0; i < 4; ++i) {
    hex.push_back("0123456789abcdef"[digest[i] >> 4]);
    hex.push_back("0123456789abcdef"[digest[i] & 15]);
  }
  return hex;
}

Result<> ReadConfigFile(const std::string& path, DaemonConfig& config) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(AT_FDCWD, path, size_t{1} << 20), "configuration");
  try {
    return ReadTable(path, toml::parse(text), "", config);
  } catch (const toml::parse_error& failure) {
    return Invalid(path, failure.source(), failure.description());
  }
}

std::vector<std::string_view> ConfigKeys() {
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) names.push_back(key.name);
  return names;
}

Result<> ReadConfig(const std::string& path, bool required, DaemonConfig& config) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (required || fs::exists(path, ignored)) RETURN_IF_ERROR(ReadConfigFile(path, config));
  std::vector<std::string> more;
  for (const auto& entry : fs::directory_iterator(fs::path(path).parent_path() / "conf.d", ignored)) {
    if (entry.path().extension() == ".toml") more.push_back(entry.path());
  }
  std::sort(more.begin(), more.end());
  for (const std::string& file : more) RETURN_IF_ERROR(ReadConfigFile(file, config));
  return {};
}

}  // namespace fermata::cri
