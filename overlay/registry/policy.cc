#include "overlay/registry/policy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>

#include "overlay/registry/base64.h"
#include "runtime/base/file.h"
#include "runtime/base/json.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxPolicyBytes = size_t{1} << 20;

Error Invalid(std::string_view where, std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, where, ": ", reason);
}

Result<> CheckKeys(const Json& object, std::string_view where, std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return Invalid(where, "has to be an object");
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) return Invalid(where, "unknown key '" + key + "'");
  }
  return {};
}

Result<std::string> TakeText(const Json& object, const char* key, std::string_view where) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string() || found->get_ref<const std::string&>().empty()) {
    return Invalid(where, std::string("'") + key + "' has to be a text");
  }
  return found->get<std::string>();
}

struct MatchRow {
  std::string_view type;
  IdentityMatch match;
  const char* field;  // nullptr: none
};
constexpr std::array kMatches = {
    MatchRow{"matchExact", IdentityMatch::kExact, nullptr},
    MatchRow{"matchRepoDigestOrExact", IdentityMatch::kRepoDigestOrExact, nullptr},
    MatchRow{"matchRepository", IdentityMatch::kRepository, nullptr},
    MatchRow{"exactReference", IdentityMatch::kExactReference, "dockerReference"},
    MatchRow{"exactRepository", IdentityMatch::kExactRepository, "dockerRepository"},
    MatchRow{"remapIdentity", IdentityMatch::kRemap, nullptr},
};

Result<> ReadIdentity(const Json& object, const std::string& where, Requirement& requirement) {
  RETURN_IF_ERROR(CheckKeys(object, where, {"type", "dockerReference", "dockerRepository", "prefix", "signedPrefix"}));
  ASSIGN_OR_RETURN(const std::string type, TakeText(object, "type", where));
  const auto* const row =
      std::find_if(kMatches.begin(), kMatches.end(), [&](const MatchRow& known) { return known.type == type; });
  if (row == kMatches.end()) return Invalid(where, "unknown type '" + type + "'");
  requirement.match = row->match;
  if (row->field != nullptr) {
    ASSIGN_OR_RETURN(requirement.identity, TakeText(object, row->field, where));
    RETURN_IF_ERROR(ParseReference(requirement.identity), where);
  }
  if (row->match == IdentityMatch::kRemap) {
    ASSIGN_OR_RETURN(requirement.prefix, TakeText(object, "prefix", where));
    ASSIGN_OR_RETURN(requirement.signed_prefix, TakeText(object, "signedPrefix", where));
  }
  return {};
}

// Where keys stand: a path or the PEM in base64, one or several.
Result<> ReadKeys(const Json& object, const std::string& where, KeyReader read_key, Requirement& requirement) {
  const auto each = [&](const char* one, const char* several, auto&& take) -> Result<> {
    Json list = Json::array();
    if (object.contains(one)) list.push_back(object.at(one));
    if (object.contains(several)) list.insert(list.end(), object.at(several).begin(), object.at(several).end());
    for (const Json& entry : list) {
      if (!entry.is_string()) return Invalid(where, std::string("'") + one + "' has to be a text");
      RETURN_IF_ERROR(take(entry.get<std::string>()), where);
    }
    return {};
  };
  RETURN_IF_ERROR(each("keyPath", "keyPaths", [&](const std::string& path) -> Result<> {
    ASSIGN_OR_RETURN(requirement.keys.emplace_back(), read_key(path), "keyPath");
    return {};
  }));
  RETURN_IF_ERROR(each("keyData", "keyDatas", [&](const std::string& data) -> Result<> {
    ASSIGN_OR_RETURN(requirement.keys.emplace_back(), DecodeBase64(data), "keyData");
    return {};
  }));
  if (requirement.keys.empty()) return Invalid(where, "sigstoreSigned needs keyPath or keyData");
  return {};
}

Result<Requirement> ReadRequirement(const Json& object, const std::string& where, KeyReader read_key) {
  if (!object.is_object()) return Invalid(where, "a requirement has to be an object");
  Requirement requirement;
  ASSIGN_OR_RETURN(const std::string type, TakeText(object, "type", where));
  if (type == "insecureAcceptAnything" || type == "reject") {
    RETURN_IF_ERROR(CheckKeys(object, where, {"type"}));
    requirement.kind = type == "reject" ? Requirement::Kind::kReject : Requirement::Kind::kAccept;
    return requirement;
  }
  if (type != "sigstoreSigned") {
    return Invalid(where, "type '" + type + "' is not supported (insecureAcceptAnything, reject, sigstoreSigned are)");
  }
  for (const char* const service : {"fulcio", "pki", "rekorPublicKeyPath", "rekorPublicKeyData"}) {
    if (object.contains(service)) return Invalid(where, std::string("'") + service + "' is not supported, keys are");
  }
  RETURN_IF_ERROR(CheckKeys(object, where, {"type", "keyPath", "keyPaths", "keyData", "keyDatas", "signedIdentity"}));
  requirement.kind = Requirement::Kind::kSigstoreSigned;
  RETURN_IF_ERROR(ReadKeys(object, where, read_key, requirement));
  if (object.contains("signedIdentity")) {
    RETURN_IF_ERROR(ReadIdentity(object.at("signedIdentity"), where + ": signedIdentity", requirement));
  }
  return requirement;
}

Result<std::vector<Requirement>> ReadRequirements(const Json& list, const std::string& where, KeyReader read_key) {
  if (!list.is_array() || list.empty()) return Invalid(where, "has to be a list of requirements, not an empty one");
  std::vector<Requirement> requirements;
  for (const Json& entry : list) {
    ASSIGN_OR_RETURN(requirements.emplace_back(), ReadRequirement(entry, where, read_key));
  }
  return requirements;
}

Result<std::string> ReadKeyFile(const std::string& path) { return ReadFileAt(AT_FDCWD, path, size_t{1} << 16); }

}  // namespace

Result<Policy> Policy::Parse(std::string_view text, const std::string& name, KeyReader read_key) {
  const auto parse = [&]() -> Result<Policy> {
    ASSIGN_OR_RETURN(const Json json, ParseJson(text, name));
    RETURN_IF_ERROR(CheckKeys(json, name, {"default", "transports"}));
    if (!json.contains("default")) return Invalid(name, "'default' is missing");
    Policy policy;
    ASSIGN_OR_RETURN(policy.default_, ReadRequirements(json.at("default"), name + ": default", read_key));
    if (!json.contains("transports")) return policy;
    if (!json.at("transports").is_object()) return Invalid(name, "'transports' has to be an object");
    for (const auto& [transport, scopes] : json.at("transports").items()) {
      if (transport != "docker") continue;  // files and daemons, which nothing is pulled from
      if (!scopes.is_object()) return Invalid(name, "'docker' has to be an object");
      for (const auto& [scope, list] : scopes.items()) {
        ASSIGN_OR_RETURN(policy.scopes_[scope], ReadRequirements(list, name + ": " + scope, read_key));
      }
    }
    return policy;
  };
  auto policy = ReadJson(name, parse);
  if (!policy) return std::move(policy).error();
  return std::move(policy).value();
}

Result<Policy> Policy::Read(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    auto text = ReadFileAt(AT_FDCWD, path, kMaxPolicyBytes);
    if (!text && text.error().saved_errno() == ENOENT) continue;
    if (!text) return std::move(text).error().Wrap("signature policy");
    return Parse(*text, path, ReadKeyFile);
  }
  return Policy();
}

// The most specific scope counts: the name itself, the repository, its parents, the registry, its domain, all.
const std::vector<Requirement>& Policy::For(const Reference& name) const {
  const auto find = [&](const std::string& scope) -> const std::vector<Requirement>* {
    const auto found = scopes_.find(scope);
    return found == scopes_.end() ? nullptr : &found->second;
  };
  for (const std::string& full : {name.Digested(), name.Tagged()}) {
    if (full.empty()) continue;
    if (const auto* found = find(full)) return *found;
  }
  std::string scope = name.Name();
  for (;;) {
    if (const auto* found = find(scope)) return *found;
    const size_t slash = scope.rfind('/');
    if (slash == std::string::npos) break;
    scope.resize(slash);
  }
  const std::string host = scope.substr(0, scope.find(':'));
  for (size_t dot = host.find('.'); dot != std::string::npos; dot = host.find('.', dot + 1)) {
    if (const auto* found = find("*" + host.substr(dot))) return *found;
  }
  if (const auto* found = find("")) return *found;
  return default_;
}

}  // namespace fermata::overlay
