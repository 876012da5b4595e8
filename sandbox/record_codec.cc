#include "sandbox/record_codec.h"

#include "runtime/base/cbor.h"
#include "runtime/spec/spec_json.h"

// nlohmann's macro writes to_json and from_json of a struct, found by argument-dependent look-up.
namespace nlohmann {
template <typename T>
struct adl_serializer<std::optional<T>> {
  static void to_json(json& out, const std::optional<T>& value) {
    if (value) {
      out = *value;
    } else {
      out = nullptr;
    }
  }
  static void from_json(const json& in, std::optional<T>& value) {
    value = in.is_null() ? std::nullopt : std::optional<T>(in.get<T>());
  }
};
template <typename Kind>
struct adl_serializer<fermata::sandbox::Id<Kind>> {
  static void to_json(json& out, const fermata::sandbox::Id<Kind>& id) { out = id.str(); }
  static void from_json(const json& in, fermata::sandbox::Id<Kind>& id) {
    id = fermata::sandbox::Id<Kind>(in.get<std::string>());
  }
};
}  // namespace nlohmann

namespace fermata::cgroups {
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Resources, cpu_shares, cpu_quota_us, cpu_period_us, cpuset_cpus,
                                                cpuset_mems, memory_limit_bytes, memory_reservation_bytes,
                                                swap_limit_bytes, pids_limit, hugepage_limits, oom_group, unified)
}  // namespace fermata::cgroups

namespace fermata::runtime {
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(IdMapping, container_id, host_id, size)
}  // namespace fermata::runtime

namespace fermata::sandbox {
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(NamespaceOptions, network, pid, ipc, target_id, uids, gids)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(DnsConfig, servers, searches, options)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(PortMapping, protocol, container_port, host_port, host_ip)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(SandboxSpec, owner, name, uid, name_space, attempt, hostname,
                                                log_directory, cgroup_parent, runtime_handler, dns, port_mappings,
                                                labels, annotations, sysctls, host_aliases, namespaces, privileged,
                                                shm_bytes, manifest, manifest_index, overhead, resources,
                                                manifest_allow_ignored, fqdn)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ContainerMount, container_path, host_path, readonly, recursive_readonly,
                                                selinux_relabel, propagation, uids, gids, image, image_sub_path,
                                                image_id, options, sub_path)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(DeviceRequest, container_path, host_path, permissions)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(SecurityContext, privileged, namespaces, add_capabilities,
                                                drop_capabilities, add_ambient_capabilities, run_as_user, run_as_group,
                                                run_as_username, supplemental_groups, strict_groups, readonly_rootfs,
                                                no_new_privileges, masked_paths, readonly_paths, seccomp,
                                                seccomp_profile)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ContainerSpec, name, attempt, image, user_specified_image,
                                                image_annotations, command, args, env, working_dir, log_path, mounts,
                                                devices, labels, annotations, want_stdin, stdin_once, tty, stop_signal,
                                                oom_score_adj, resources, security, restart_delay_ns,
                                                previous_finished_at_ns)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(PodMarks, post_started, started, ready, killed_at_ns)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(SandboxRecord, id, spec, state, created_at_ns, pause_pid, shares_ptrace,
                                                ips, group, containers_group, boot_id, reason)

namespace {

// The launch spec has a form of its own (OCI's).
struct StoredContainer {
  ContainerId id;
  SandboxId sandbox;
  ContainerSpec spec;
  ContainerState state = ContainerState::kCreated;
  int64_t created_at_ns = 0, started_at_ns = 0, finished_at_ns = 0;
  int exit_code = 0, pid = 0, stop_signal = 15;
  std::string reason, message, image_id, image_ref, group, log_path;
  Json launch;
  PodMarks marks;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(StoredContainer, id, sandbox, spec, state, created_at_ns, started_at_ns,
                                                finished_at_ns, exit_code, pid, stop_signal, reason, message, image_id,
                                                image_ref, group, log_path, launch, marks)

// CBOR, not text: names, labels and environment values are the tenant's bytes and need not be UTF-8.
std::string EncodeValue(const Json& json) {
  std::string bytes;
  Json::to_cbor(json, bytes);
  return bytes;
}

}  // namespace

std::string Encode(const SandboxRecord& record) { return EncodeValue(Json(record)); }

std::string Encode(const ContainerRecord& r) {
  return EncodeValue(
      Json(StoredContainer{r.id, r.sandbox, r.spec, r.state, r.created_at_ns, r.started_at_ns, r.finished_at_ns,
                           r.exit_code, r.pid, r.stop_signal, r.reason, r.message, r.image_id, r.image_ref, r.group,
                           r.log_path, runtime::SpecToJsonValue(r.launch), r.marks}));
}

Result<SandboxRecord> DecodeSandbox(std::string_view bytes) {
  ASSIGN_OR_RETURN(const Json json, ParseCbor(bytes, "sandbox record"));
  return ReadJson("sandbox record", [&] { return json.get<SandboxRecord>(); });
}

Result<ContainerRecord> DecodeContainer(std::string_view bytes) {
  ASSIGN_OR_RETURN(const Json json, ParseCbor(bytes, "container record"));
  ASSIGN_OR_RETURN(StoredContainer s, ReadJson("container record", [&] { return json.get<StoredContainer>(); }));
  ASSIGN_OR_RETURN(runtime::Spec launch, runtime::SpecFromJsonValue(s.launch), "container record");
  return ContainerRecord{std::move(s.id),
                         std::move(s.sandbox),
                         std::move(s.spec),
                         s.state,
                         s.created_at_ns,
                         s.started_at_ns,
                         s.finished_at_ns,
                         s.exit_code,
                         s.pid,
                         std::move(s.reason),
                         std::move(s.message),
                         std::move(s.image_id),
                         std::move(s.image_ref),
                         s.stop_signal,
                         std::move(launch),
                         std::move(s.group),
                         std::move(s.log_path),
                         s.marks};
}

}  // namespace fermata::sandbox
