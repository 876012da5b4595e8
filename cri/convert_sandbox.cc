// PodSandboxConfig to SandboxSpec: a table of readers, one a group of fields.
#include "cri/convert.h"
#include "cri/convert_internal.h"
#include "sandbox/spec_checks.h"

namespace fermata::cri {
namespace {

using convert::Indexed;
using convert::Invalid;
using sandbox::NamespaceMode;
using sandbox::SandboxSpec;

constexpr char kContext[] = "linux.security_context";

Result<> ReadMetadata(const v1::PodSandboxConfig& config, SandboxSpec& spec) {
  const v1::PodSandboxMetadata& metadata = config.metadata();
  if (!config.has_metadata()) return Invalid("metadata: missing");
  if (metadata.name().empty()) return Invalid("metadata.name: empty");
  if (metadata.uid().empty()) return Invalid("metadata.uid: empty");
  if (metadata.namespace_().empty()) return Invalid("metadata.namespace: empty");
  spec.name = metadata.name();
  spec.uid = metadata.uid();
  spec.name_space = metadata.namespace_();
  spec.attempt = metadata.attempt();
  return {};
}

Result<> ReadNames(const v1::PodSandboxConfig& config, SandboxSpec& spec) {
  if (!config.hostname().empty()) RETURN_IF_ERROR(sandbox::CheckHostname(config.hostname()), "hostname");
  if (!config.log_directory().empty()) {
    RETURN_IF_ERROR(sandbox::CheckAbsolutePath(config.log_directory()), "log_directory");
  }
  if (config.has_windows()) return Invalid("windows: this runtime runs Linux pods only");
  spec.hostname = config.hostname();
  spec.log_directory = config.log_directory();
  spec.labels = convert::ToMap(config.labels());
  spec.annotations = convert::ToMap(config.annotations());
  return {};
}

Result<> ReadDns(const v1::PodSandboxConfig& config, SandboxSpec& spec) {
  spec.dns.servers = convert::ToVector(config.dns_config().servers());
  spec.dns.searches = convert::ToVector(config.dns_config().searches());
  spec.dns.options = convert::ToVector(config.dns_config().options());
  RETURN_IF_ERROR(sandbox::CheckDns(spec.dns), "dns_config");
  return {};
}

Result<sandbox::PortMapping> ReadPort(const v1::PortMapping& mapping) {
  constexpr int kMaxPort = 65535;
  if (!v1::Protocol_IsValid(mapping.protocol())) return Invalid("protocol: unknown value");
  if (mapping.container_port() < 1 || mapping.container_port() > kMaxPort) {
    return Invalid("container_port: ", std::to_string(mapping.container_port()), " is not in 1..65535");
  }
  if (mapping.host_port() < 0 || mapping.host_port() > kMaxPort) {
    return Invalid("host_port: ", std::to_string(mapping.host_port()), " is not in 0..65535");
  }
  if (!mapping.host_ip().empty() && !sandbox::IsIpAddress(mapping.host_ip())) {
    return Invalid("host_ip: ", sandbox::Quoted(mapping.host_ip()), " is no IP address");
  }
  return sandbox::PortMapping{mapping.protocol(), mapping.container_port(), mapping.host_port(), mapping.host_ip()};
}

Result<> ReadPorts(const v1::PodSandboxConfig& config, SandboxSpec& spec) {
  for (int i = 0; i < config.port_mappings_size(); ++i) {
    ASSIGN_OR_RETURN(sandbox::PortMapping port, ReadPort(config.port_mappings(i)), Indexed("port_mappings", i));
    spec.port_mappings.push_back(std::move(port));
  }
  return {};
}

// Which mode a sandbox may have for which namespace. CONTAINER has a meaning for pid only: each container its own.
Result<NamespaceMode> ReadMode(const char* field, v1::NamespaceMode mode, bool container_allowed) {
  if (mode == v1::POD) return NamespaceMode::kPod;
  if (mode == v1::NODE) return NamespaceMode::kNode;
  if (mode == v1::CONTAINER && container_allowed) return NamespaceMode::kContainer;
  return Invalid("namespace_options.", field, ": the mode is not possible for a sandbox");
}

Result<> ReadNamespaces(const v1::PodSandboxConfig& config, SandboxSpec& spec) {
  const v1::NamespaceOption& options = config.linux().security_context().namespace_options();
  ASSIGN_OR_RETURN(spec.namespaces.network, ReadMode("network", options.network(), false), kContext);
  ASSIGN_OR_RETURN(spec.namespaces.pid, ReadMode("pid", options.pid(), true), kContext);
  ASSIGN_OR_RETURN(spec.namespaces.ipc, ReadMode("ipc", options.ipc(), false), kContext);
  if (!options.target_id().empty()) {
    return Invalid(kContext, ".namespace_options.target_id: only for a container with pid mode TARGET");
  }
  ASSIGN_OR_RETURN(convert::UserNamespace user, convert::ReadUserNamespace(options.userns_options()), kContext);
  spec.namespaces.uids = std::move(user.uids);
  spec.namespaces.gids = std::move(user.gids);
  if (spec.namespaces.has_user() && spec.namespaces.pid == NamespaceMode::kNode) {
    return Invalid(kContext, ".namespace_options: a user namespace cannot go with the host's PID namespace");
  }
  return {};
}

// Ids, groups, read-only root and seccomp of a sandbox are checked and then left out: they are about the process
// that holds the namespaces, and pause is a program of ours that needs no identity and runs under its own filter.
Result<> ReadSecurity(const v1::PodSandboxConfig& config, SandboxSpec& spec) {
  const v1::LinuxSandboxSecurityContext& context = config.linux().security_context();
  if (context.has_run_as_user()) {
    RETURN_IF_ERROR(sandbox::CheckId(context.run_as_user().value()), kContext, ".run_as_user");
  }
  if (context.has_run_as_group()) {
    if (!context.has_run_as_user()) return Invalid(kContext, ".run_as_group: given without run_as_user");
    RETURN_IF_ERROR(sandbox::CheckId(context.run_as_group().value()), kContext, ".run_as_group");
  }
  RETURN_IF_ERROR(convert::ReadGroups(context.supplemental_groups()), kContext);
  RETURN_IF_ERROR(convert::IsStrict(context.supplemental_groups_policy()), kContext);
  RETURN_IF_ERROR(convert::CheckSelinux(context.selinux_options()), kContext);
  RETURN_IF_ERROR(convert::CheckApparmor(context.has_apparmor() ? &context.apparmor() : nullptr, ""), kContext);
  RETURN_IF_ERROR(
      convert::ReadSeccomp(context.has_seccomp() ? &context.seccomp() : nullptr, context.seccomp_profile_path()),
      kContext);
  spec.privileged = context.privileged();
  return {};
}

// `overhead` and `resources` are the sums of what kubelet itself writes to the pod's group; only a group of ours gets
// them from us.
Result<> ReadLinux(const v1::PodSandboxConfig& config, SandboxSpec& spec) {
  const v1::LinuxPodSandboxConfig& linux_config = config.linux();
  if (!linux_config.cgroup_parent().empty()) {
    // With systemd a slice alone is a parent too, so it need not be absolute.
    const std::string& parent = linux_config.cgroup_parent();
    RETURN_IF_ERROR(sandbox::CheckAbsolutePath(parent.front() == '/' ? parent : "/" + parent), "linux.cgroup_parent");
  }
  spec.cgroup_parent = linux_config.cgroup_parent();
  for (const auto& [name, value] : linux_config.sysctls()) {
    RETURN_IF_ERROR(sandbox::CheckSysctl(name, value, spec.namespaces), "linux.sysctls");
  }
  spec.sysctls = convert::ToMap(linux_config.sysctls());
  ASSIGN_OR_RETURN(spec.overhead, FromProto(linux_config.overhead()), "linux.overhead");
  ASSIGN_OR_RETURN(spec.resources, FromProto(linux_config.resources()), "linux.resources");
  RETURN_IF_ERROR(cgroups::RenderSettings(spec.resources), "linux.resources");
  return {};
}

using Reader = Result<> (*)(const v1::PodSandboxConfig&, SandboxSpec&);
constexpr Reader kReaders[] = {
    ReadMetadata, ReadNames, ReadDns, ReadPorts, ReadNamespaces, ReadSecurity,
    ReadLinux,  // after the namespaces: which sysctls are allowed depends on them
};

}  // namespace

Result<SandboxSpec> FromProto(const v1::PodSandboxConfig& config, const std::string& runtime_handler) {
  RETURN_IF_ERROR(convert::CheckStrings(config));
  if (runtime_handler.find('\0') != std::string::npos) return Invalid("runtime_handler: NUL byte in a string");
  SandboxSpec spec;
  spec.owner = sandbox::Owner::kCri;
  spec.runtime_handler = runtime_handler;
  for (const Reader read : kReaders) RETURN_IF_ERROR(read(config, spec));
  return spec;
}

}  // namespace fermata::cri
