// securityContext of pods and of containers.
#include <algorithm>

#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

struct SeccompDraft {
  std::string type, profile;
};
constexpr Field<SeccompDraft> kSeccompFields[] = {
    {"type", Put<&SeccompDraft::type, ReadString>},
    {"localhostProfile", Put<&SeccompDraft::profile, ReadString>},
};

// kubelet takes localhostProfile relative to its directory of profiles; there is none here, so it is absolute.
Result<std::optional<SeccompChoice>> ReadSeccomp(const Node& node) {
  SeccompDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kSeccompFields, draft));
  RETURN_IF_ERROR(Require(node, "type", !draft.type.empty()));
  if ((draft.type == "Localhost") == draft.profile.empty()) {
    return BadValue(node, "localhostProfile is needed for type Localhost and for no other");
  }
  if (draft.type == "RuntimeDefault") return std::optional(SeccompChoice{SeccompMode::kRuntimeDefault, ""});
  if (draft.type == "Unconfined") return std::optional(SeccompChoice{SeccompMode::kUnconfined, ""});
  if (draft.type != "Localhost") {
    return BadValue(node, Quoted(draft.type), " is none of RuntimeDefault, Unconfined and Localhost");
  }
  if (auto checked = CheckAbsolutePath(draft.profile); !checked) return AtNode(node, checked.error());
  return std::optional(SeccompChoice{SeccompMode::kLocalhost, draft.profile});
}

Result<std::string> ReadCapability(const Node& node) {
  ASSIGN_OR_RETURN(const std::string text, ReadString(node));
  auto name = CapabilityName(text);
  if (!name) return AtNode(node, name.error());
  return name;
}
Result<std::vector<std::string>> ReadCapabilities(const Node& node) {
  return ReadList<std::string>(node, ReadCapability);
}

constexpr Field<SecurityDraft> kCapabilityFields[] = {
    {"add", Put<&SecurityDraft::add, ReadCapabilities>},
    {"drop", Put<&SecurityDraft::drop, ReadCapabilities>},
};

Result<std::optional<int64_t>> OptionalId(const Node& node) {
  ASSIGN_OR_RETURN(const int64_t id, ReadUserId(node));
  return std::optional(id);
}
Result<std::optional<bool>> OptionalBool(const Node& node) {
  ASSIGN_OR_RETURN(const bool value, ReadYamlBool(node));
  return std::optional(value);
}

Result<bool> ReadStrictGroups(const Node& node) {
  ASSIGN_OR_RETURN(const std::string policy, ReadString(node));
  if (policy == "Strict" || policy == "Merge") return policy == "Strict";
  return BadValue(node, Quoted(policy), " is none of Merge and Strict");
}

Result<bool> ReadGroupPolicy(const Node& node) {
  ASSIGN_OR_RETURN(const std::string policy, ReadString(node));
  if (policy == "OnRootMismatch" || policy == "Always") return policy == "OnRootMismatch";
  return BadValue(node, Quoted(policy), " is none of Always and OnRootMismatch");
}

constexpr Field<SecurityDraft> kPodFields[] = {
    {"runAsUser", Put<&SecurityDraft::user, OptionalId>},
    {"runAsGroup", Put<&SecurityDraft::group, OptionalId>},
    {"runAsNonRoot", Put<&SecurityDraft::non_root, OptionalBool>},
    {"supplementalGroups", Put<&SecurityDraft::groups, ReadUserIds>},
    {"supplementalGroupsPolicy", Put<&SecurityDraft::strict_groups, ReadStrictGroups>},
    {"sysctls", Keep<&SecurityDraft::sysctls>},
    {"seccompProfile", Put<&SecurityDraft::seccomp, ReadSeccomp>},
    {"fsGroup", Put<&SecurityDraft::fs_group, OptionalId>},
    {"fsGroupChangePolicy", Put<&SecurityDraft::fs_group_on_mismatch, ReadGroupPolicy>},
    {"seLinuxOptions", nullptr},
    {"seLinuxChangePolicy", nullptr},
    {"appArmorProfile", nullptr},
    {"windowsOptions", nullptr},
};

constexpr Field<SecurityDraft> kContainerFields[] = {
    {"runAsUser", Put<&SecurityDraft::user, OptionalId>},
    {"runAsGroup", Put<&SecurityDraft::group, OptionalId>},
    {"runAsNonRoot", Put<&SecurityDraft::non_root, OptionalBool>},
    {"privileged", Put<&SecurityDraft::privileged, ReadYamlBool>},
    {"readOnlyRootFilesystem", Put<&SecurityDraft::readonly_rootfs, ReadYamlBool>},
    {"allowPrivilegeEscalation", Put<&SecurityDraft::allow_escalation, OptionalBool>},
    {"capabilities", [](const Node& node, SecurityDraft& out) { return ReadObject(node, kCapabilityFields, out); }},
    {"seccompProfile", Put<&SecurityDraft::seccomp, ReadSeccomp>},
    {"procMount", nullptr},
    {"seLinuxOptions", nullptr},
    {"appArmorProfile", nullptr},
    {"windowsOptions", nullptr},
};

// Who the user of an image is turns out only when it is unpacked; a number given here needs no image.
Result<> CheckNonRoot(const Node& place, const SecurityDraft& draft) {
  if (!draft.non_root.value_or(false)) return {};
  if (!draft.user) {
    const std::string text = "runAsNonRoot without runAsUser is not supported yet";
    return PlaceError(place, place.line, ErrorCode::kUnimplemented, text);
  }
  if (*draft.user == 0) return BadValue(place, "runAsNonRoot is true and runAsUser is 0");
  return {};
}

// Kubernetes takes the image's user then; the engine does not join the two yet.
Result<> CheckGroup(const Node& place, const SecurityDraft& draft) {
  if (!draft.group || draft.user) return {};
  const std::string text = "runAsGroup without runAsUser is not supported yet";
  return PlaceError(place, place.line, ErrorCode::kUnimplemented, text);
}

Result<> CheckEscalation(const Node& place, const SecurityDraft& draft) {
  if (draft.allow_escalation.value_or(true)) return {};
  if (draft.privileged) return BadValue(place, "allowPrivilegeEscalation is false and privileged is true");
  if (std::find(draft.add.begin(), draft.add.end(), "CAP_SYS_ADMIN") != draft.add.end()) {
    return BadValue(place, "allowPrivilegeEscalation is false and capabilities.add has SYS_ADMIN");
  }
  return {};
}

}  // namespace

Result<SecurityDraft> ReadPodSecurity(const Node& node) {
  SecurityDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kPodFields, draft));
  return draft;
}

Result<SecurityContext> ReadContainerSecurity(const Node* node, const Node& container, const SecurityDraft& pod) {
  SecurityDraft draft;
  if (node != nullptr) RETURN_IF_ERROR(ReadObject(*node, kContainerFields, draft));
  if (!draft.user) draft.user = pod.user;
  if (!draft.group) draft.group = pod.group;
  if (!draft.non_root) draft.non_root = pod.non_root;
  if (!draft.seccomp) draft.seccomp = pod.seccomp;
  const Node& place = node != nullptr ? *node : container;
  RETURN_IF_ERROR(CheckNonRoot(place, draft));
  RETURN_IF_ERROR(CheckGroup(place, draft));
  RETURN_IF_ERROR(CheckEscalation(place, draft));

  SecurityContext out;
  out.privileged = draft.privileged;
  out.add_capabilities = draft.add;
  out.drop_capabilities = draft.drop;
  out.run_as_user = draft.user;
  out.run_as_group = draft.group;
  out.supplemental_groups = pod.groups;
  if (pod.fs_group) out.supplemental_groups.push_back(*pod.fs_group);
  out.strict_groups = pod.strict_groups;
  out.readonly_rootfs = draft.readonly_rootfs;
  out.no_new_privileges = !draft.allow_escalation.value_or(true);
  const SeccompChoice choice = draft.seccomp.value_or(SeccompChoice{});
  out.seccomp = draft.privileged ? SeccompMode::kUnconfined : choice.mode;
  if (out.seccomp == SeccompMode::kLocalhost) out.seccomp_profile = choice.profile;
  return out;
}

}  // namespace fermata::sandbox::pods
