#include "sandbox/network/cni_config.h"

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "runtime/base/file.h"

namespace fermata::sandbox {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 20;
constexpr size_t kMaxPlugins = 32;
constexpr size_t kMaxName = 64;
constexpr std::array<std::string_view, 5> kVersions = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
constexpr const char* kWordStart = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr const char* kWord = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

Error Invalid(std::string_view what, std::string_view why) {
  return Error::Make(ErrorCode::kInvalidArgument, what, ": ", why);
}

size_t Rank(std::string_view version) {
  return static_cast<size_t>(std::find(kVersions.begin(), kVersions.end(), version) - kVersions.begin());
}

bool IsWord(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && std::string_view(kWordStart).find(text[0]) != text.npos &&
         text.find_first_not_of(kWord) == text.npos;
}

Result<std::string> TakeText(const Json& object, const char* key, std::string_view what) {
  const auto found = object.find(key);
  if (found == object.end()) return std::string();
  if (!found->is_string()) return Invalid(what, std::string(key) + " is no string");
  return found->get<std::string>();
}

// The specification has booleans; files that write "true" in quotes exist.
Result<bool> TakeFlag(const Json& object, const char* key, std::string_view what) {
  const auto found = object.find(key);
  if (found == object.end()) return false;
  if (found->is_boolean()) return found->get<bool>();
  if (found->is_string() && (*found == "true" || *found == "false")) return *found == "true";
  return Invalid(what, std::string(key) + " is neither true nor false");
}

Result<std::string> ChooseVersion(const Json& object, std::string_view what) {
  ASSIGN_OR_RETURN(std::string version, TakeText(object, "cniVersion", what));
  std::vector<std::string> offered = {version};
  if (const auto more = object.find("cniVersions"); more != object.end()) {
    if (!more->is_array()) return Invalid(what, "cniVersions is no list");
    for (const Json& entry : *more) {
      if (!entry.is_string()) return Invalid(what, "cniVersions holds what is no string");
      offered.push_back(entry.get<std::string>());
    }
  }
  std::string best;
  for (const std::string& candidate : offered) {
    if (IsCniVersion(candidate) && (best.empty() || Rank(candidate) > Rank(best))) best = candidate;
  }
  if (!best.empty()) return best;
  return Invalid(what, "cniVersion \"" + version + "\" is not in 0.3.0..1.1.0");
}

Result<CniPluginConfig> ReadPlugin(const Json& object, std::string_view what) {
  if (!object.is_object()) return Invalid(what, "a plugin is no object");
  CniPluginConfig plugin;
  ASSIGN_OR_RETURN(plugin.type, TakeText(object, "type", what));
  if (!IsCniPluginType(plugin.type)) return Invalid(what, "the type of a plugin is missing or no plain name");
  if (const auto wanted = object.find("capabilities"); wanted != object.end()) {
    if (!wanted->is_object()) return Invalid(what, "capabilities is no object");
    for (const auto& [name, on] : wanted->items()) {
      if (on.is_boolean() && on.get<bool>()) plugin.capabilities.insert(name);
    }
  }
  plugin.config = object;
  for (const char* key : {"capabilities", "runtimeConfig", "prevResult", "args"}) plugin.config.erase(key);
  for (auto entry = plugin.config.begin(); entry != plugin.config.end();) {
    entry = entry.key().starts_with("cni.dev/") ? plugin.config.erase(entry) : std::next(entry);
  }
  return plugin;
}

std::string Normalized(const CniNetwork& network) {
  Json list = {{"cniVersion", network.version},         {"name", network.name},
               {"disableCheck", network.disable_check}, {"disableGC", network.disable_gc},
               {"loadOnlyInlinedPlugins", true},        {"plugins", Json::array()}};
  for (const CniPluginConfig& plugin : network.plugins) {
    Json entry = plugin.config;
    for (const std::string& name : plugin.capabilities) entry["capabilities"][name] = true;
    list["plugins"].push_back(std::move(entry));
  }
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<> ReadPlugins(const Json& object, std::string_view what, const std::vector<std::string>& extra,
                     CniNetwork& network) {
  const auto inlined = object.find("plugins");
  if (inlined != object.end() && !inlined->is_array()) return Invalid(what, "plugins is no list");
  std::vector<Json> all;
  if (inlined != object.end()) all.assign(inlined->begin(), inlined->end());
  for (const std::string& text : extra) {
    ASSIGN_OR_RETURN(Json plugin, ParseJson(text, what));
    all.push_back(std::move(plugin));
  }
  if (all.empty()) return Invalid(what, "no plugins");
  if (all.size() > kMaxPlugins) return Invalid(what, "more than 32 plugins");
  for (const Json& plugin : all) {
    ASSIGN_OR_RETURN(CniPluginConfig read, ReadPlugin(plugin, what));
    network.plugins.push_back(std::move(read));
  }
  return {};
}

// The confs in the directory that is named as the network, if there is one.
Result<std::vector<std::string>> ReadExtra(int directory, const std::string& text, const std::string& file) {
  std::vector<std::string> extra;
  ASSIGN_OR_RETURN(const Json object, ParseJson(text, file));
  if (!object.is_object()) return Invalid(file, "no object");
  ASSIGN_OR_RETURN(const bool only_inlined, TakeFlag(object, "loadOnlyInlinedPlugins", file));
  ASSIGN_OR_RETURN(const std::string name, TakeText(object, "name", file));
  if (only_inlined || !IsWord(name)) return extra;
  const auto below = OpenAt(directory, name, O_RDONLY | O_DIRECTORY);
  if (!below) return extra;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(below->get()), file);
  for (const std::string& entry : names) {
    if (!entry.ends_with(".conf")) continue;
    ASSIGN_OR_RETURN(extra.emplace_back(), ReadFileAt(below->get(), entry, kMaxFileBytes), file);
  }
  return extra;
}

bool IsConfigName(std::string_view name) {
  return name.ends_with(".conf") || name.ends_with(".conflist") || name.ends_with(".json");
}

}  // namespace

bool IsCniVersion(std::string_view version) { return Rank(version) < kVersions.size(); }

bool IsCniPluginType(std::string_view type) { return IsWord(type); }

bool CniNetwork::Knows(std::string_view command) const {
  if (command == "CHECK") return !disable_check && Rank(version) >= Rank("0.4.0");
  if (command == "GC") return !disable_gc && Rank(version) >= Rank("1.1.0");
  return command != "STATUS" || Rank(version) >= Rank("1.1.0");
}

Result<CniNetwork> ParseCniNetwork(std::string_view text, std::string_view what,
                                   const std::vector<std::string>& extra) {
  if (text.size() > kMaxFileBytes) return Invalid(what, "longer than 1 MiB");
  ASSIGN_OR_RETURN(const Json object, ParseJson(text, what));
  if (!object.is_object()) return Invalid(what, "no object");
  CniNetwork network;
  ASSIGN_OR_RETURN(network.name, TakeText(object, "name", what));
  if (!IsWord(network.name)) return Invalid(what, "name is missing or no plain name");
  ASSIGN_OR_RETURN(network.version, ChooseVersion(object, what));
  if (object.contains("type") && !object.contains("plugins")) {
    ASSIGN_OR_RETURN(CniPluginConfig plugin, ReadPlugin(object, what));
    network.plugins.push_back(std::move(plugin));
  } else {
    ASSIGN_OR_RETURN(network.disable_check, TakeFlag(object, "disableCheck", what));
    ASSIGN_OR_RETURN(network.disable_gc, TakeFlag(object, "disableGC", what));
    RETURN_IF_ERROR(ReadPlugins(object, what, extra, network));
  }
  network.text = Normalized(network);
  return network;
}

Result<CniNetwork> LoadCniNetwork(const std::string& directory) {
  const auto opened = OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!opened && opened.error().saved_errno() == ENOENT) {
    return Error::Make(ErrorCode::kNotFound, "no CNI configuration in ", directory);
  }
  if (!opened) return opened.error();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(opened->get()), directory);
  const auto first = std::find_if(names.begin(), names.end(), IsConfigName);  // the names are sorted
  if (first == names.end()) return Error::Make(ErrorCode::kNotFound, "no CNI configuration in ", directory);
  const std::string file = directory + "/" + *first;
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(opened->get(), *first, kMaxFileBytes));
  std::vector<std::string> extra;
  if (first->ends_with(".conflist")) {
    ASSIGN_OR_RETURN(extra, ReadExtra(opened->get(), text, file));
  }
  return ParseCniNetwork(text, file, extra);
}

}  // namespace fermata::sandbox
