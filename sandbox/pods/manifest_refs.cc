// References of a manifest to values of other objects: keys of ConfigMaps and Secrets, fields of the pod, limits.
#include <algorithm>

#include "sandbox/pods/manifest_quantity.h"
#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

constexpr size_t kMaxKey = 253;

struct FieldRefDraft {
  std::string path;
};
Result<> OnlyV1(const Node& node) {
  ASSIGN_OR_RETURN(const std::string version, ReadString(node));
  return version == "v1" ? Result<>() : BadValue(node, "must be v1");
}
constexpr Field<FieldRefDraft> kFieldRefFields[] = {
    {"apiVersion", Only<OnlyV1>},
    {"fieldPath", Put<&FieldRefDraft::path, ReadString>},
};

struct KnownPath {
  std::string_view path;
  bool env, volume;
};
constexpr KnownPath kPaths[] = {
    {"metadata.name", true, true},    {"metadata.namespace", true, true},    {"metadata.uid", true, true},
    {"metadata.labels", false, true}, {"spec.nodeName", true, false},        {"spec.serviceAccountName", true, false},
    {"status.hostIP", true, false},   {"status.hostIPs", true, false},       {"status.podIP", true, false},
    {"status.podIPs", true, false},   {"metadata.annotations", false, true},
};

// "metadata.labels['app']"; false: not of that form.
bool SplitSubscript(const std::string& path, ValueSource& out) {
  const size_t open = path.find("['");
  if (open == std::string::npos || !path.ends_with("']") || path.size() < open + 5) return false;
  out.field = path.substr(0, open);
  out.key = path.substr(open + 2, path.size() - open - 4);
  return out.field == "metadata.labels" || out.field == "metadata.annotations";
}

struct ResourceRefDraft {
  std::string container, resource;
  const Node* divisor = nullptr;
};
constexpr Field<ResourceRefDraft> kResourceRefFields[] = {
    {"containerName", Put<&ResourceRefDraft::container, ReadDnsLabel>},
    {"resource", Put<&ResourceRefDraft::resource, ReadString>},
    {"divisor", Keep<&ResourceRefDraft::divisor>},
};

// In thousandths for CPU, in bytes for memory. A zero is the default of one whole, as for the API server.
Result<int64_t> ReadDivisor(const Node& node, bool cpu) {
  constexpr std::string_view kCpu[] = {"1m", "1", "0"};
  constexpr std::string_view kMemory[] = {"1", "1k",  "1M",  "1G",  "1T",  "1P",  "1E",
                                          "0", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"};
  const auto known = [&](const auto& list) { return std::ranges::find(list, node.scalar) != std::end(list); };
  if (!(cpu ? known(kCpu) : known(kMemory))) {
    return BadValue(node, cpu ? "must be 1 or 1m" : "must be 1 with or without a suffix such as Ki or M");
  }
  auto divisor = ParseQuantity(node.scalar, cpu ? 3 : 0);
  if (!divisor) return AtNode(node, divisor.error());
  return *divisor == 0 ? (cpu ? 1000 : 1) : *divisor;
}

}  // namespace

bool IsConfigKey(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  return !text.empty() && text.size() <= kMaxKey && std::ranges::all_of(text, good) && text != "." &&
         !text.starts_with("..");
}

Result<std::string> ReadConfigKey(const Node& node) {
  ASSIGN_OR_RETURN(std::string key, ReadString(node));
  if (!IsConfigKey(key)) return BadValue(node, Quoted(key), " is no key of a ConfigMap or Secret");
  return key;
}

Result<const ConfigObject*> FindObject(const Node& place, const PodContext& pod, ConfigKind kind,
                                       const ObjectRef& ref) {
  const bool secret = kind == ConfigKind::kSecret;
  const auto& objects = secret ? pod.objects->secrets : pod.objects->config_maps;
  const auto found = objects.find({pod.pod->sandbox.name_space, ref.name});
  if (found != objects.end()) return &found->second;
  if (ref.optional) return nullptr;
  return BadValue(place, "the file has no ", secret ? "Secret " : "ConfigMap ", Quoted(ref.name), " of namespace ",
                  pod.pod->sandbox.name_space);
}

Result<ValueSource> ReadFieldRef(const Node& node, RefUse use) {
  FieldRefDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kFieldRefFields, draft));
  RETURN_IF_ERROR(Require(node, "fieldPath", !draft.path.empty()));
  ValueSource source;
  source.kind = ValueSource::Kind::kField;
  if (SplitSubscript(draft.path, source)) return source;
  const auto* known = std::ranges::find_if(kPaths, [&](const KnownPath& p) { return p.path == draft.path; });
  if (known == std::end(kPaths)) return BadValue(*node.Find("fieldPath"), Quoted(draft.path), " is no known field");
  if (use == RefUse::kEnv ? !known->env : !known->volume) {
    return BadValue(*node.Find("fieldPath"), Quoted(draft.path), " is not for ",
                    use == RefUse::kEnv ? "variables" : "volumes");
  }
  source.field = draft.path;
  return source;
}

Result<ValueSource> ReadResourceRef(const Node& node, const PodContext& pod, const std::string& own) {
  ResourceRefDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kResourceRefFields, draft));
  RETURN_IF_ERROR(Require(node, "resource", !draft.resource.empty()));
  if (draft.container.empty()) draft.container = own;
  RETURN_IF_ERROR(Require(node, "containerName", !draft.container.empty()));
  if (!pod.container_names.contains(draft.container)) {
    return BadValue(node, "there is no container ", Quoted(draft.container));
  }
  const Node& place = *node.Find("resource");
  ValueSource source;
  source.kind = ValueSource::Kind::kResource;
  source.container = draft.container;
  source.resource = draft.resource;
  const bool cpu = draft.resource == "limits.cpu" || draft.resource == "requests.cpu";
  const bool memory = draft.resource == "limits.memory" || draft.resource == "requests.memory";
  if (!cpu && !memory) {
    const bool storage =
        draft.resource.ends_with(".ephemeral-storage") || draft.resource.find(".hugepages-") != draft.resource.npos;
    return storage ? NotSupportedYet(place, Quoted(draft.resource))
                   : BadValue(place, Quoted(draft.resource), " is no resource such as limits.cpu");
  }
  source.divisor = cpu ? 1000 : 1;
  if (draft.divisor != nullptr) {
    ASSIGN_OR_RETURN(source.divisor, ReadDivisor(*draft.divisor, cpu));
  }
  return source;
}

}  // namespace fermata::sandbox::pods
