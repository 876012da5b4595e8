// LinuxContainerSecurityContext to SecurityContext.
#include <set>

#include "cri/convert_internal.h"
#include "sandbox/spec_checks.h"

namespace fermata::cri::convert {
namespace {

using sandbox::NamespaceMode;
using sandbox::SandboxSpec;
using sandbox::SecurityContext;
using Context = v1::LinuxContainerSecurityContext;

Result<NamespaceMode> ReadPidMode(v1::NamespaceMode mode) {
  switch (mode) {
    case v1::POD:
      return NamespaceMode::kPod;
    case v1::CONTAINER:
      return NamespaceMode::kContainer;
    case v1::NODE:
      return NamespaceMode::kNode;
    case v1::TARGET:
      return NamespaceMode::kTarget;
    default:
      return Invalid("namespace_options.pid: unknown value");
  }
}

Result<> CheckSharedMode(const char* field, v1::NamespaceMode mode) {
  if (mode == v1::POD || mode == v1::NODE) return {};
  return Invalid("namespace_options.", field, ": only POD and NODE are possible; TARGET is for pid");
}

// Network and ipc of a container are always the sandbox's, whatever stands here: an unset option is POD in the
// message, so that POD beside a sandbox on the host's network is the ordinary case and no contradiction.
Result<> ReadNamespaces(const Context& context, const SandboxSpec& sandbox, SecurityContext& out) {
  const v1::NamespaceOption& options = context.namespace_options();
  RETURN_IF_ERROR(CheckSharedMode("network", options.network()));
  RETURN_IF_ERROR(CheckSharedMode("ipc", options.ipc()));
  ASSIGN_OR_RETURN(const UserNamespace user, ReadUserNamespace(options.userns_options()));
  if (!user.uids.empty() && (user.uids != sandbox.namespaces.uids || user.gids != sandbox.namespaces.gids)) {
    return Invalid("namespace_options.userns_options: must be as the sandbox's, or unset");
  }
  out.namespaces.network = sandbox.namespaces.network;
  out.namespaces.ipc = sandbox.namespaces.ipc;
  ASSIGN_OR_RETURN(out.namespaces.pid, ReadPidMode(options.pid()));
  const bool target = out.namespaces.pid == NamespaceMode::kTarget;
  if (target == options.target_id().empty()) {
    return Invalid("namespace_options.target_id: needed for pid mode TARGET and for no other");
  }
  out.namespaces.target_id = options.target_id();
  return {};
}

Result<> ReadUser(const Context& context, const SandboxSpec&, SecurityContext& out) {
  const bool named = !context.run_as_username().empty();
  if (context.has_run_as_user()) {
    if (named) return Invalid("run_as_username: given beside run_as_user");
    RETURN_IF_ERROR(sandbox::CheckId(context.run_as_user().value()), "run_as_user");
    out.run_as_user = context.run_as_user().value();
  }
  if (context.has_run_as_group()) {
    if (!context.has_run_as_user() && !named) {
      return Invalid("run_as_group: given without run_as_user or run_as_username");
    }
    RETURN_IF_ERROR(sandbox::CheckId(context.run_as_group().value()), "run_as_group");
    out.run_as_group = context.run_as_group().value();
  }
  // A colon would choose the group too, a line break end the line of a generated passwd file (C-10).
  for (const char c : context.run_as_username()) {
    if (c == ':' || static_cast<unsigned char>(c) <= ' ' || c == 0x7f) {
      return Invalid("run_as_username: ", sandbox::Quoted(context.run_as_username()), " is no user name");
    }
  }
  out.run_as_username = context.run_as_username();
  return {};
}

Result<> ReadGroupsAndFlags(const Context& context, const SandboxSpec&, SecurityContext& out) {
  ASSIGN_OR_RETURN(out.supplemental_groups, ReadGroups(context.supplemental_groups()));
  ASSIGN_OR_RETURN(out.strict_groups, IsStrict(context.supplemental_groups_policy()));
  out.readonly_rootfs = context.readonly_rootfs();
  out.no_new_privileges = context.no_new_privs();
  return {};
}

// One spelling and each name once.
Result<std::vector<std::string>> ReadNames(const char* field,
                                           const google::protobuf::RepeatedPtrField<std::string>& names) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (int i = 0; i < names.size(); ++i) {
    ASSIGN_OR_RETURN(std::string name, sandbox::CapabilityName(names[i]), Indexed(field, i));
    if (seen.insert(name).second) out.push_back(std::move(name));
  }
  return out;
}

Result<> ReadCapabilities(const Context& context, const SandboxSpec&, SecurityContext& out) {
  const v1::Capability& wanted = context.capabilities();
  ASSIGN_OR_RETURN(out.add_capabilities, ReadNames("capabilities.add_capabilities", wanted.add_capabilities()));
  ASSIGN_OR_RETURN(out.drop_capabilities, ReadNames("capabilities.drop_capabilities", wanted.drop_capabilities()));
  ASSIGN_OR_RETURN(out.add_ambient_capabilities,
                   ReadNames("capabilities.add_ambient_capabilities", wanted.add_ambient_capabilities()));
  return {};
}

Result<std::vector<std::string>> ReadPaths(const char* field,
                                           const google::protobuf::RepeatedPtrField<std::string>& paths) {
  for (int i = 0; i < paths.size(); ++i) {
    RETURN_IF_ERROR(sandbox::CheckAbsolutePath(paths[i]), Indexed(field, i));
  }
  return ToVector(paths);
}

Result<> ReadConfinement(const Context& context, const SandboxSpec&, SecurityContext& out) {
  RETURN_IF_ERROR(CheckSelinux(context.selinux_options()));
  RETURN_IF_ERROR(CheckApparmor(context.has_apparmor() ? &context.apparmor() : nullptr, context.apparmor_profile()));
  ASSIGN_OR_RETURN(SeccompChoice seccomp,
                   ReadSeccomp(context.has_seccomp() ? &context.seccomp() : nullptr, context.seccomp_profile_path()));
  out.seccomp = seccomp.mode;
  out.seccomp_profile = std::move(seccomp.profile);
  ASSIGN_OR_RETURN(out.masked_paths, ReadPaths("masked_paths", context.masked_paths()));
  ASSIGN_OR_RETURN(out.readonly_paths, ReadPaths("readonly_paths", context.readonly_paths()));
  return {};
}

// What privileged takes away here; capabilities, devices and writable /proc and /sys follow from the flag where
// the process is described. kubelet sends its usual masked paths with it, which are not meant then.
Result<> ReadPrivileged(const Context& context, const SandboxSpec& sandbox, SecurityContext& out) {
  if (!context.privileged()) return {};
  if (!sandbox.privileged) return Invalid("privileged: the sandbox was not made for privileged containers");
  out.privileged = true;
  out.seccomp = sandbox::SeccompMode::kUnconfined;
  out.seccomp_profile.clear();
  out.masked_paths.clear();
  out.readonly_paths.clear();
  return {};
}

using Reader = Result<> (*)(const Context&, const SandboxSpec&, SecurityContext&);
constexpr Reader kReaders[] = {
    ReadNamespaces,   ReadUser,        ReadGroupsAndFlags,
    ReadCapabilities, ReadConfinement, ReadPrivileged,  // last: takes back what was read before
};

}  // namespace

Result<SecurityContext> ReadSecurity(const Context& context, const SandboxSpec& sandbox) {
  SecurityContext out;
  for (const Reader read : kReaders) RETURN_IF_ERROR(read(context, sandbox, out));
  return out;
}

}  // namespace fermata::cri::convert
