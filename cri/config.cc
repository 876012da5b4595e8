#include "cri/config.h"

#include <fcntl.h>
#include <openssl/evp.h>

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <sstream>
#include <variant>

#include "runtime/base/file.h"

namespace fermata::cri {
namespace {

Error Invalid(const std::string& file, const toml::source_region& where, std::string_view why) {
  return Error::Make(ErrorCode::kInvalidArgument, file, ":", std::to_string(where.begin.line), ": ", why);
}

constexpr int64_t kMaxPort = 65535;
constexpr int64_t kDay = 24 * 3600;

// What a key may hold, and where its value lies.
struct Text {
  std::string& value;
};
struct Switch {
  bool& value;
};
struct Number {
  int64_t& value;
  int64_t least, most;
};
struct List {
  std::vector<std::string>& value;  // one string is a list of one
};
struct Choice {
  bool& value;  // true: the second word
  const char *no, *yes;
};
struct Word {
  std::string& value;
  std::vector<std::string> words;
};
struct Missing {
  cgroups::MissingControllers& value;
};
using Slot = std::variant<Text, Switch, Number, List, Choice, Word, Missing>;

// Reads a node into a slot; the text of a failure is what the value must be.
struct Reader {
  const toml::node& node;

  template <typename T>
  Result<> Take(T& out, const std::string& kind) const {
    const auto value = node.value_exact<T>();
    if (!value) return Must(kind);
    out = *value;
    return {};
  }
  static Error Must(const std::string& kind) { return Error::Make(ErrorCode::kInvalidArgument, "must be ", kind); }

  Result<> operator()(const Text& text) const { return Take(text.value, "a string"); }
  Result<> operator()(const Switch& one) const { return Take(one.value, "true or false"); }
  Result<> operator()(const Number& number) const {
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < number.least || *value > number.most) {
      return Must("a number from " + std::to_string(number.least) + " to " + std::to_string(number.most));
    }
    number.value = *value;
    return {};
  }
  Result<> operator()(const List& list) const {
    std::vector<std::string> values;
    const toml::array* array = node.as_array();
    if (const auto one = node.value_exact<std::string>()) {
      values.push_back(*one);
    } else if (array == nullptr) {
      return Must("a string or a list of strings");
    }
    for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
      RETURN_IF_ERROR((Reader{*array->get(i)}.Take(values.emplace_back(), "a list of strings")));
    }
    list.value = std::move(values);
    return {};
  }
  Result<> operator()(const Choice& choice) const {
    std::string word;
    RETURN_IF_ERROR((*this)(Word{word, {choice.no, choice.yes}}));
    choice.value = word == choice.yes;
    return {};
  }
  Result<> operator()(const Word& word) const {
    std::string given;
    RETURN_IF_ERROR(Take(given, "a string"));
    std::string words;
    for (size_t i = 0; i < word.words.size(); ++i) {
      if (word.words[i] == given) {
        word.value = given;
        return {};
      }
      words += (i == 0 ? "" : i + 1 == word.words.size() ? " or " : ", ") + ("\"" + word.words[i] + "\"");
    }
    return Must(words);
  }
  Result<> operator()(const Missing& missing) const {
    bool warn = false;
    RETURN_IF_ERROR((*this)(Choice{warn, "error", "warn"}));
    missing.value = warn ? cgroups::MissingControllers::kWarn : cgroups::MissingControllers::kError;
    return {};
  }
};

// A value as TOML.
struct Writer {
  static std::string Quoted(const std::string& text) {
    std::ostringstream out;
    out << toml::value<std::string>(text);
    return out.str();
  }
  std::string operator()(const Text& text) const { return Quoted(text.value); }
  std::string operator()(const Switch& one) const { return one.value ? "true" : "false"; }
  std::string operator()(const Number& number) const { return std::to_string(number.value); }
  std::string operator()(const List& list) const {
    std::string text;
    for (const std::string& one : list.value) text += (text.empty() ? "" : ", ") + Quoted(one);
    return "[" + text + "]";
  }
  std::string operator()(const Choice& choice) const { return Quoted(choice.value ? choice.yes : choice.no); }
  std::string operator()(const Word& word) const { return Quoted(word.value); }
  std::string operator()(const Missing& missing) const {
    return Quoted(missing.value == cgroups::MissingControllers::kWarn ? "warn" : "error");
  }
};

struct Key {
  std::string_view name;  // with the table: "cri.show_local_pods"
  Slot (*slot)(DaemonConfig& config);
};

const std::array kKeys = {
    Key{"data_dir", [](DaemonConfig& c) -> Slot { return Text{c.data_dir}; }},
    Key{"run_dir", [](DaemonConfig& c) -> Slot { return Text{c.run_dir}; }},
    Key{"socket", [](DaemonConfig& c) -> Slot { return Text{c.socket}; }},
    Key{"log_level",
        [](DaemonConfig& c) -> Slot {
          return Word{c.log_level, {"trace", "debug", "info", "warn", "error"}};
        }},
    Key{"log.format",
        [](DaemonConfig& c) -> Slot {
          return Word{c.log.format, {"text", "json", "journald"}};
        }},
    Key{"log.slow_operation_ms",
        [](DaemonConfig& c) -> Slot {
          return Number{c.log.slow_operation_ms, 0, 1000 * kDay};
        }},
    Key{"network.cni_conf_dir", [](DaemonConfig& c) -> Slot { return Text{c.cni_conf_dir}; }},
    Key{"network.cni_bin_dir", [](DaemonConfig& c) -> Slot { return List{c.cni_bin_dirs}; }},
    Key{"network.cni_conf_template", [](DaemonConfig& c) -> Slot { return Text{c.cni_conf_template}; }},
    Key{"network.subnets", [](DaemonConfig& c) -> Slot { return List{c.subnets}; }},
    Key{"network.direct", [](DaemonConfig& c) -> Slot { return List{c.direct}; }},
    Key{"network.mtu",
        [](DaemonConfig& c) -> Slot {
          return Number{c.mtu, 1280, 65535};
        }},
    Key{"network.cri",
        [](DaemonConfig& c) -> Slot {
          return Choice{c.builtin_for_cri, "cni", "builtin"};
        }},
    Key{"network.pods",
        [](DaemonConfig& c) -> Slot {
          return Choice{c.builtin_for_pods, "none", "builtin"};
        }},
    Key{"pods.dir", [](DaemonConfig& c) -> Slot { return Text{c.pods_dir}; }},
    Key{"images.hosts_dir", [](DaemonConfig& c) -> Slot { return Text{c.registry_hosts_dir}; }},
    Key{"images.auth_files", [](DaemonConfig& c) -> Slot { return List{c.registry_auth_files}; }},
    Key{"images.signature_policy", [](DaemonConfig& c) -> Slot { return List{c.signature_policies}; }},
    Key{"images.pinned", [](DaemonConfig& c) -> Slot { return List{c.pinned_images}; }},
    Key{"images.no_progress_seconds",
        [](DaemonConfig& c) -> Slot {
          return Number{c.no_progress_seconds, 1, 3600};
        }},
    Key{"cgroup.missing_controllers", [](DaemonConfig& c) -> Slot { return Missing{c.missing_controllers}; }},
    Key{"cri.show_local_pods", [](DaemonConfig& c) -> Slot { return Switch{c.show_local_pods}; }},
    Key{"cri.reject_missing_host_path", [](DaemonConfig& c) -> Slot { return Switch{c.reject_missing_host_path}; }},
    Key{"streaming.address", [](DaemonConfig& c) -> Slot { return Text{c.streaming.address}; }},
    Key{"streaming.port", [](DaemonConfig& c) -> Slot { return Number{c.streaming.port, 0, kMaxPort}; }},
    Key{"streaming.tls_cert", [](DaemonConfig& c) -> Slot { return Text{c.streaming.tls_cert}; }},
    Key{"streaming.tls_key", [](DaemonConfig& c) -> Slot { return Text{c.streaming.tls_key}; }},
    Key{"streaming.client_ca", [](DaemonConfig& c) -> Slot { return Text{c.streaming.client_ca}; }},
    Key{"streaming.creation_timeout_seconds",
        [](DaemonConfig& c) -> Slot { return Number{c.streaming.creation_timeout_seconds, 1, kDay}; }},
    Key{"streaming.idle_timeout_seconds",
        [](DaemonConfig& c) -> Slot { return Number{c.streaming.idle_timeout_seconds, 1, 365 * kDay}; }},
    Key{"metrics.address", [](DaemonConfig& c) -> Slot { return Text{c.metrics.address}; }},
    Key{"metrics.port", [](DaemonConfig& c) -> Slot {
          return Number{c.metrics.port, 0, kMaxPort};
        }}};

const Key* FindKey(const std::string& name) {
  const auto found = std::find_if(kKeys.begin(), kKeys.end(), [&](const Key& key) { return key.name == name; });
  return found == kKeys.end() ? nullptr : &*found;
}

// One file into a configuration; goes on after an error, so that all are told at once.
class FileReader {
 public:
  FileReader(const std::string& file, DaemonConfig& config, ConfigSources& sources)
      : file_(file), config_(config), sources_(sources) {}

  void Read(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string name = prefix + std::string(key.str());
      if (const toml::table* inner = node.as_table(); inner != nullptr) {
        Read(*inner, name + ".");
      } else {
        ReadKey(name, node);
      }
    }
  }
  // By line; the first one's code.
  Result<> Done() {
    if (errors_.empty()) return {};
    std::string text;
    for (const auto& [line, error] : errors_) text += (text.empty() ? "" : "\n") + error;
    return Error(ErrorCode::kInvalidArgument, std::move(text));
  }

 private:
  void ReadKey(const std::string& name, const toml::node& node) {
    const auto line = node.source().begin.line;
    const Key* key = FindKey(name);
    const Result<> read = key == nullptr ? Result<>(Error::Make(ErrorCode::kInvalidArgument, "unknown key ", name))
                                         : std::visit(Reader{node}, key->slot(config_));
    if (read) {
      sources_[name] = file_ + ":" + std::to_string(line);
    } else {
      const std::string_view about = key == nullptr ? "" : key->name;
      errors_.emplace(line, std::string(about) + (about.empty() ? "" : ": ") +
                                Invalid(file_, node.source(), read.error().message()).message());
    }
  }

  const std::string& file_;
  DaemonConfig& config_;
  ConfigSources& sources_;
  std::multimap<uint32_t, std::string> errors_;
};

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

Result<> ReadConfigFile(const std::string& path, DaemonConfig& config, ConfigSources& sources) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(AT_FDCWD, path, size_t{1} << 20), "configuration");
  try {
    FileReader reader(path, config, sources);
    reader.Read(toml::parse(text), "");
    return reader.Done();
  } catch (const toml::parse_error& failure) {
    return Invalid(path, failure.source(), failure.description());
  }
}

std::vector<std::string_view> ConfigKeys() {
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) names.push_back(key.name);
  return names;
}

std::vector<ConfigValue> ShowConfig(DaemonConfig config, const ConfigSources& sources) {
  std::vector<ConfigValue> values;
  for (const Key& key : kKeys) {
    const auto source = sources.find(std::string(key.name));
    values.push_back({std::string(key.name), std::visit(Writer{}, key.slot(config)),
                      source == sources.end() ? "default" : source->second});
  }
  return values;
}

Result<> ReadConfig(const std::string& path, bool required, DaemonConfig& config, ConfigSources& sources) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (required || fs::exists(path, ignored)) RETURN_IF_ERROR(ReadConfigFile(path, config, sources));
  std::vector<std::string> more;
  for (const auto& entry : fs::directory_iterator(fs::path(path).parent_path() / "conf.d", ignored)) {
    if (entry.path().extension() == ".toml") more.push_back(entry.path());
  }
  std::sort(more.begin(), more.end());
  for (const std::string& file : more) RETURN_IF_ERROR(ReadConfigFile(file, config, sources));
  return {};
}

}  // namespace fermata::cri
