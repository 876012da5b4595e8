// How the objects of a manifest are read: tables of fields. Shared by the manifest_*.cc files; not for others.
// Pure, any thread; errors name file, line and path.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/pods/manifest.h"
#include "sandbox/pods/manifest_yaml.h"

namespace fermata::sandbox::pods {

template <typename T>
struct Field {
  const char* name;
  Result<> (*read)(const Node& value, T& out);  // nullptr: known to Kubernetes, not honoured here yet
};

Result<> ExpectMap(const Node& node);
Result<> ExpectList(const Node& node);

template <typename T, size_t N>
Result<> ReadField(const Node& child, const Field<T> (&fields)[N], T& out) {
  const auto* found = std::ranges::find_if(fields, [&](const Field<T>& field) { return child.key == field.name; });
  if (found == std::end(fields)) return UnknownField(child);
  if (child.kind == Node::Kind::kNull) return {};
  return found->read == nullptr ? NotHonoured(child) : found->read(child, out);
}

// An error in one field does not hide those of the others.
template <typename T, size_t N>
Result<> ReadObject(const Node& node, const Field<T> (&fields)[N], T& out) {
  RETURN_IF_ERROR(ExpectMap(node));
  Problems problems(node);
  for (const auto& child : node.children) problems.Add(ReadField(*child, fields, out));
  return problems.Done();
}

template <typename T, typename Read>
Result<std::vector<T>> ReadListWith(const Node& node, Read read) {
  RETURN_IF_ERROR(ExpectList(node));
  Problems problems(node);
  std::vector<T> list;
  for (const auto& child : node.children) {
    Result<T> item = read(*child);
    if (item) {
      list.push_back(*std::move(item));
    } else {
      problems.Add(item.error());
    }
  }
  RETURN_IF_ERROR(problems.Done());
  return list;
}
template <typename T>
Result<std::vector<T>> ReadList(const Node& node, Result<T> (*read)(const Node&)) {
  return ReadListWith<T>(node, read);
}

Result<std::string> ReadString(const Node& node);
Result<std::vector<std::string>> ReadStrings(const Node& node);
Result<std::map<std::string, std::string>> ReadStringMap(const Node& node);
Result<int64_t> ReadUserId(const Node& node);
Result<std::vector<int64_t>> ReadUserIds(const Node& node);
Result<std::string> ReadDnsLabel(const Node& node);      // RFC 1123 label: a-z, 0-9, '-'; at most 63
Result<std::string> ReadDnsSubdomain(const Node& node);  // labels and dots; at most 253
Result<std::string> ReadIp(const Node& node);
Result<std::string> ReadAbsolutePath(const Node& node);
Result<std::string> ReadImage(const Node& node);  // a name of an image
Result<PullPolicy> ReadPullPolicy(const Node& node);
Result<std::map<std::string, std::string>> ReadLabels(const Node& node);
Result<std::map<std::string, std::string>> ReadAnnotations(const Node& node);
Result<> ReadNothing(const Node& node);  // what was looked at before
// For fields of which only the value that changes nothing is honoured.
Result<> OnlyFalse(const Node& node);
Result<> OnlyTrue(const Node& node);
Result<> OnlyText(const Node& node, std::string_view harmless);

// Error of a check that knows no place: put the place in front.
inline Error AtNode(const Node& node, const Error& error) {
  return PlaceError(node, node.line, error.code(), error.message());
}
// A field that has to be there; the line is that of the object.
Result<> Require(const Node& object, std::string_view name, bool there);

// Table entries: the value read by `Read` goes into `Member`; the node is kept for later; nothing is done.
template <auto Member, auto Read, typename T>
Result<> Put(const Node& node, T& out) {
  ASSIGN_OR_RETURN(out.*Member, Read(node));
  return {};
}
template <auto Member, typename T>
Result<> Keep(const Node& node, T& out) {
  out.*Member = &node;
  return {};
}
template <auto Check, typename T>
Result<> Only(const Node& node, T&) {
  return Check(node);
}

struct SeccompChoice {
  SeccompMode mode = SeccompMode::kRuntimeDefault;
  std::string profile;
};

// spec.securityContext and spec.containers[].securityContext: some fields belong to one of them only.
struct SecurityDraft {
  std::optional<int64_t> user, group;
  std::optional<bool> non_root, allow_escalation;
  std::optional<SeccompChoice> seccomp;
  std::vector<int64_t> groups;
  bool strict_groups = false;
  const Node* sysctls = nullptr;
  std::optional<int64_t> fs_group;
  bool fs_group_on_mismatch = false;
  bool privileged = false;
  bool readonly_rootfs = false;
  std::vector<std::string> add, drop;
};
Result<SecurityDraft> ReadPodSecurity(const Node& node);
// `node` null: nothing given. The result has the pod's defaults in it.
Result<SecurityContext> ReadContainerSecurity(const Node* node, const Node& container, const SecurityDraft& pod);

// What the documents of a file say beside pods.
struct Objects {
  using Name = std::pair<std::string, std::string>;  // namespace, name
  std::map<Name, ConfigObject> config_maps, secrets;
  std::set<Name> claims;
};

// What containers and volumes take from their pod.
struct PodContext {
  const SecurityDraft* security;
  const std::vector<PodVolume>* volumes;  // nullptr: they could not be read
  const Objects* objects;
  const PodManifest* pod;  // its metadata and namespaces
  std::set<std::string> container_names;
  Source* source;
};

Result<std::vector<PodVolume>> ReadVolumes(const Node& node, const PodContext& pod);
// Of a volume that is files of the manifest (manifest_files.cc).
enum class FileSource : uint8_t { kConfigMap, kSecret, kDownward, kProjected };
Result<> ReadFiles(const Node& node, FileSource source, const PodContext& pod, PodVolume& out);
// Fills requests, limits and the settings that come of them in.
Result<> ReadResources(const Node& node, PodContainer& out);

// References to values of other objects (manifest_refs.cc).
enum class RefUse : uint8_t { kEnv, kVolume };
struct ObjectRef {
  std::string name, key;
  bool optional = false;
};
enum class ConfigKind : uint8_t { kConfigMap, kSecret };
// nullptr: it is not there, and that is allowed.
Result<const ConfigObject*> FindObject(const Node& place, const PodContext& pod, ConfigKind kind, const ObjectRef& ref);
Result<ValueSource> ReadFieldRef(const Node& node, RefUse use);
// Of the container itself where none is named, which `own` names.
Result<ValueSource> ReadResourceRef(const Node& node, const PodContext& pod, const std::string& own);
// Keys of ConfigMaps and Secrets, which are names of files too.
bool IsConfigKey(std::string_view text);
Result<std::string> ReadConfigKey(const Node& node);

// Documents (manifest_objects.cc, manifest_pod.cc).
struct Metadata {
  std::string name, name_space = "default";
  std::map<std::string, std::string> labels, annotations;
};
Result<Metadata> ReadMetadata(const Node& node);  // of a template: without a name
Result<Metadata> ReadNamedMetadata(const Node& node);
Result<> CheckClaimSpec(const Node& node);
Result<> ReadConfigDocument(const Node& document, ConfigKind kind, Objects& out);
Result<> ReadClaimDocument(const Node& document, Objects& out);
// Metadata is in `out` already, and volumes that stand in for those of the same name.
Result<> ReadPodSpec(const Node& node, const Objects& objects, PodManifest& out);

// A controller's selector has to take these labels (manifest_selector.cc).
Result<> CheckSelector(const Node& node, const std::map<std::string, std::string>& labels);

// Names and resolv.conf of a pod (manifest_dns.cc).
struct HostnameDraft {
  std::string hostname, subdomain;
  bool as_fqdn = false;
};
Result<std::string> ReadDnsPolicy(const Node& node);
Result<std::map<std::string, std::vector<std::string>>> ReadHostAliases(const Node& node);
// `config` null: nothing given.
Result<> FillDns(const Node& spec, const std::string& policy, const Node* config, PodManifest& out);
Result<> FillHostname(const Node& spec, const HostnameDraft& draft, SandboxSpec& out);

// A "name" with a "value", as in sysctls and options of resolv.conf.
struct NamedValue {
  std::string name;
  std::optional<std::string> value;
};
Result<NamedValue> ReadNamedValue(const Node& node);

// Variables of a container (manifest_env.cc).
struct EnvDraft {
  std::vector<EnvVariable> variables;
  std::vector<const Node*> places;             // of each variable
  std::map<std::string, std::string> written;  // values that stand in the manifest; probes see those only
};
Result<EnvDraft> ReadEnvironment(const Node* env_from, const Node* env, const PodContext& pod,
                                 const std::string& container);
// The init containers, where there are any, and the containers.
Result<> ReadContainers(const Node* init, const Node& containers, const PodContext& pod, PodManifest& out);
Result<RestartPolicy> ReadRestartPolicy(const Node& node);

// What probes and hooks take from their container.
struct ProbeContext {
  const std::map<std::string, std::string>* variables;  // nullptr: commands are not expanded
  std::map<std::string, int> ports;                     // by name
  std::chrono::seconds termination_grace;
};
Result<probe::ProbeSpec> ReadProbe(const Node& node, probe::ProbeType type, const ProbeContext& context);
Result<> ReadLifecycle(const Node& node, const ProbeContext& context, probe::ContainerProbes& out);
Result<int64_t> ReadPortNumber(const Node& node);
Result<std::string> ReadPortName(const Node& node);

}  // namespace fermata::sandbox::pods
