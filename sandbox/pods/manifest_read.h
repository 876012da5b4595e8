// How the objects of a manifest are read: tables of fields. Shared by the manifest_*.cc files; not for others.
// Pure, any thread; errors name file, line and path.
#pragma once

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
Result<> ReadObject(const Node& node, const Field<T> (&fields)[N], T& out) {
  RETURN_IF_ERROR(ExpectMap(node));
  for (const auto& child : node.children) {
    const Field<T>* found = nullptr;
    for (const Field<T>& field : fields) {
      if (child->key == field.name) found = &field;
    }
    if (found == nullptr) return UnknownField(*child);
    if (child->kind == Node::Kind::kNull) continue;
    if (found->read == nullptr) return NotSupportedYet(*child);
    RETURN_IF_ERROR(found->read(*child, out));
  }
  return {};
}

template <typename T>
Result<std::vector<T>> ReadList(const Node& node, Result<T> (*read)(const Node&)) {
  RETURN_IF_ERROR(ExpectList(node));
  std::vector<T> list;
  for (const auto& child : node.children) {
    ASSIGN_OR_RETURN(T item, read(*child));
    list.push_back(std::move(item));
  }
  return list;
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
Result<std::map<std::string, std::string>> ReadLabels(const Node& node);
Result<std::map<std::string, std::string>> ReadAnnotations(const Node& node);
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
  bool privileged = false;
  bool readonly_rootfs = false;
  std::vector<std::string> add, drop;
};
Result<SecurityDraft> ReadPodSecurity(const Node& node);
// `node` null: nothing given. The result has the pod's defaults in it.
Result<SecurityContext> ReadContainerSecurity(const Node* node, const Node& container, const SecurityDraft& pod);

Result<std::vector<PodVolume>> ReadVolumes(const Node& node);
// `asks_cpu` is set when a request or limit of CPU is there.
Result<cgroups::Resources> ReadResources(const Node& node, bool& asks_cpu);

// What containers take from their pod.
struct PodContext {
  const SecurityDraft* security;
  const std::vector<PodVolume>* volumes;
  NamespaceOptions namespaces;
  std::chrono::seconds termination_grace{30};
};
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
