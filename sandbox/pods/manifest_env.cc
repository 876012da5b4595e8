// spec.containers[].env and envFrom.
#include <algorithm>

#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

// Kubernetes since 1.34: printable ASCII but '='.
Result<std::string> ReadEnvName(const Node& node) {
  ASSIGN_OR_RETURN(std::string name, ReadString(node));
  const bool good = std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~' && c != '='; });
  if (name.empty() || !good) return BadValue(node, Quoted(name), " is no name of a variable");
  return name;
}

constexpr Field<ObjectRef> kKeyRefFields[] = {
    {"name", Put<&ObjectRef::name, ReadDnsSubdomain>},
    {"key", Put<&ObjectRef::key, ReadConfigKey>},
    {"optional", Put<&ObjectRef::optional, ReadYamlBool>},
};
constexpr Field<ObjectRef> kObjectRefFields[] = {
    {"name", Put<&ObjectRef::name, ReadDnsSubdomain>},
    {"optional", Put<&ObjectRef::optional, ReadYamlBool>},
};

struct FromDraft {
  std::string prefix;
  const Node* config_map = nullptr;
  const Node* secret = nullptr;
};
constexpr Field<FromDraft> kFromFields[] = {
    {"prefix", Put<&FromDraft::prefix, ReadEnvName>},
    {"configMapRef", Keep<&FromDraft::config_map>},
    {"secretRef", Keep<&FromDraft::secret>},
};

struct SourceDraft {
  const Node* config_map = nullptr;
  const Node* secret = nullptr;
  const Node* field = nullptr;
  const Node* resource = nullptr;
};
constexpr Field<SourceDraft> kSourceFields[] = {
    {"configMapKeyRef", Keep<&SourceDraft::config_map>},
    {"secretKeyRef", Keep<&SourceDraft::secret>},
    {"fieldRef", Keep<&SourceDraft::field>},
    {"resourceFieldRef", Keep<&SourceDraft::resource>},
    {"fileKeyRef", nullptr},
};

struct VariableDraft {
  std::string name, value;
  const Node* from = nullptr;
};
constexpr Field<VariableDraft> kVariableFields[] = {
    {"name", Put<&VariableDraft::name, ReadEnvName>},
    {"value", Put<&VariableDraft::value, ReadString>},
    {"valueFrom", Keep<&VariableDraft::from>},
};

// The value of a key; nothing when it is not there and need not be.
Result<std::optional<std::string>> ReadKey(const Node& node, ConfigKind kind, const PodContext& pod) {
  ObjectRef ref;
  RETURN_IF_ERROR(ReadObject(node, kKeyRefFields, ref));
  RETURN_IF_ERROR(Require(node, "name", !ref.name.empty()));
  RETURN_IF_ERROR(Require(node, "key", !ref.key.empty()));
  ASSIGN_OR_RETURN(const ConfigObject* const object, FindObject(*node.Find("name"), pod, kind, ref));
  if (object == nullptr) return std::optional<std::string>();
  const auto found = object->data.find(ref.key);
  if (found == object->data.end()) {
    if (ref.optional) return std::optional<std::string>();
    return BadValue(*node.Find("key"), Quoted(ref.name), " has no key ", Quoted(ref.key));
  }
  if (found->second.find('\0') != std::string::npos) return BadValue(node, "a variable cannot hold a NUL byte");
  return std::optional(found->second);
}

Result<std::optional<ValueSource>> ReadValueFrom(const Node& node, const PodContext& pod,
                                                 const std::string& container) {
  SourceDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kSourceFields, draft));
  const Node* const given[] = {draft.config_map, draft.secret, draft.field, draft.resource};
  if (std::ranges::count_if(given, [](const Node* n) { return n != nullptr; }) != 1) {
    return BadValue(node, "needs one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef");
  }
  if (draft.field != nullptr || draft.resource != nullptr) {
    ASSIGN_OR_RETURN(ValueSource source, draft.field != nullptr ? ReadFieldRef(*draft.field, RefUse::kEnv)
                                                                : ReadResourceRef(*draft.resource, pod, container));
    return std::optional(std::move(source));
  }
  const bool secret = draft.secret != nullptr;
  ASSIGN_OR_RETURN(
      std::optional<std::string> text,
      ReadKey(secret ? *draft.secret : *draft.config_map, secret ? ConfigKind::kSecret : ConfigKind::kConfigMap, pod));
  if (!text) return std::optional<ValueSource>();
  ValueSource source;
  source.text = *std::move(text);
  return std::optional(std::move(source));
}

class EnvReader {
 public:
  EnvReader(const PodContext& pod, const std::string& container) : pod_(pod), container_(container) {}

  Result<> AddAllOf(const Node& node) {
    FromDraft draft;
    RETURN_IF_ERROR(ReadObject(node, kFromFields, draft));
    if ((draft.config_map == nullptr) == (draft.secret == nullptr)) {
      return BadValue(node, "needs one of configMapRef and secretRef");
    }
    const Node& place = draft.secret != nullptr ? *draft.secret : *draft.config_map;
    ObjectRef ref;
    RETURN_IF_ERROR(ReadObject(place, kObjectRefFields, ref));
    RETURN_IF_ERROR(Require(place, "name", !ref.name.empty()));
    const ConfigKind kind = draft.secret != nullptr ? ConfigKind::kSecret : ConfigKind::kConfigMap;
    ASSIGN_OR_RETURN(const ConfigObject* const object, FindObject(*place.Find("name"), pod_, kind, ref));
    if (object == nullptr) return {};
    for (const auto& [key, value] : object->data) {
      if (value.find('\0') != std::string::npos) return BadValue(node, "a variable cannot hold a NUL byte");
      ValueSource source;
      source.text = value;
      Add(node, {draft.prefix + key, std::move(source), false});
    }
    return {};
  }

  Result<> AddOne(const Node& node) {
    VariableDraft draft;
    RETURN_IF_ERROR(ReadObject(node, kVariableFields, draft));
    RETURN_IF_ERROR(Require(node, "name", !draft.name.empty()));
    out.written[draft.name] = draft.value;
    EnvVariable variable{draft.name, {}, true};
    variable.value.text = draft.value;
    if (draft.from != nullptr) {
      if (!draft.value.empty()) return BadValue(node, "value and valueFrom exclude each other");
      ASSIGN_OR_RETURN(std::optional<ValueSource> source, ReadValueFrom(*draft.from, pod_, container_));
      if (!source) return {};
      variable.value = *std::move(source);
      variable.expand = false;
    }
    Add(node, std::move(variable));
    return {};
  }

  EnvDraft out;

 private:
  void Add(const Node& place, EnvVariable variable) {
    out.variables.push_back(std::move(variable));
    out.places.push_back(&place);
  }

  const PodContext& pod_;
  const std::string& container_;
};

}  // namespace

Result<EnvDraft> ReadEnvironment(const Node* env_from, const Node* env, const PodContext& pod,
                                 const std::string& container) {
  EnvReader reader(pod, container);
  const auto read = [&reader](const Node* list, Result<> (EnvReader::*one)(const Node&)) -> Result<> {
    if (list == nullptr) return {};
    RETURN_IF_ERROR(ExpectList(*list));
    Problems problems(*list);
    for (const auto& child : list->children) problems.Add((reader.*one)(*child));
    return problems.Done();
  };
  Problems problems(*pod.source);
  problems.Add(read(env_from, &EnvReader::AddAllOf));
  problems.Add(read(env, &EnvReader::AddOne));
  RETURN_IF_ERROR(problems.Done());
  return std::move(reader.out);
}

}  // namespace fermata::sandbox::pods
