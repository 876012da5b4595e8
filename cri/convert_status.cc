// Records to answers.
#include <algorithm>
#include <charconv>
#include <set>

#include "cri/convert_internal.h"
#include "sandbox/spec_checks.h"

namespace fermata::cri {
namespace {

using sandbox::ContainerState;
using sandbox::NamespaceMode;

void SetMap(const std::map<std::string, std::string>& from, google::protobuf::Map<std::string, std::string>* to) {
  to->insert(from.begin(), from.end());
}

v1::PodSandboxState ToState(sandbox::SandboxState state) {
  return state == sandbox::SandboxState::kReady ? v1::SANDBOX_READY : v1::SANDBOX_NOTREADY;
}

v1::ContainerState ToState(ContainerState state) { return static_cast<v1::ContainerState>(state); }
static_assert(static_cast<int>(ContainerState::kCreated) == v1::CONTAINER_CREATED);
static_assert(static_cast<int>(ContainerState::kRunning) == v1::CONTAINER_RUNNING);
static_assert(static_cast<int>(ContainerState::kExited) == v1::CONTAINER_EXITED);
static_assert(static_cast<int>(ContainerState::kUnknown) == v1::CONTAINER_UNKNOWN);

void FillMappings(const runtime::IdMappings& mappings, google::protobuf::RepeatedPtrField<v1::IDMapping>& out) {
  for (const runtime::IdMapping& mapping : mappings) {
    v1::IDMapping& added = *out.Add();
    added.set_container_id(mapping.container_id);
    added.set_host_id(mapping.host_id);
    added.set_length(mapping.size);
  }
}

v1::NamespaceMode ToMode(NamespaceMode mode) { return static_cast<v1::NamespaceMode>(mode); }
static_assert(static_cast<int>(NamespaceMode::kPod) == v1::POD);
static_assert(static_cast<int>(NamespaceMode::kContainer) == v1::CONTAINER);
static_assert(static_cast<int>(NamespaceMode::kNode) == v1::NODE);
static_assert(static_cast<int>(NamespaceMode::kTarget) == v1::TARGET);

// The fields that a sandbox's list item and its status have in common.
template <typename Message>
void FillSandbox(const sandbox::SandboxRecord& record, Message& out) {
  out.set_id(record.id.str());
  out.mutable_metadata()->set_name(record.spec.name);
  out.mutable_metadata()->set_uid(record.spec.uid);
  out.mutable_metadata()->set_namespace_(record.spec.name_space);
  out.mutable_metadata()->set_attempt(record.spec.attempt);
  out.set_state(ToState(record.state));
  out.set_created_at(record.created_at_ns);
  SetMap(record.spec.labels, out.mutable_labels());
  SetMap(record.spec.annotations, out.mutable_annotations());
  out.set_runtime_handler(record.spec.runtime_handler);
}

template <typename Message>
void FillContainer(const sandbox::ContainerRecord& record, Message& out) {
  out.set_id(record.id.str());
  out.mutable_metadata()->set_name(record.spec.name);
  out.mutable_metadata()->set_attempt(record.spec.attempt);
  out.mutable_image()->set_image(record.spec.image);
  out.mutable_image()->set_user_specified_image(record.spec.user_specified_image);
  SetMap(record.spec.image_annotations, out.mutable_image()->mutable_annotations());
  out.set_image_ref(record.image_ref);
  out.set_image_id(record.image_id);
  out.set_state(ToState(record.state));
  out.set_created_at(record.created_at_ns);
  SetMap(record.spec.labels, out.mutable_labels());
  SetMap(record.spec.annotations, out.mutable_annotations());
}

v1::Mount ToMount(const sandbox::ContainerMount& mount) {
  v1::Mount out;
  out.set_container_path(mount.container_path);
  out.set_host_path(mount.host_path);
  if (!mount.image.empty()) {
    out.mutable_image()->set_image(mount.image);
    out.mutable_image()->set_image_ref(mount.image_id);
    out.set_image_sub_path(mount.image_sub_path);
  }
  for (const std::string& option : mount.options) out.add_mount_options(option);
  out.set_readonly(mount.readonly);
  out.set_recursive_read_only(mount.recursive_readonly);
  out.set_selinux_relabel(mount.selinux_relabel);
  out.set_propagation(static_cast<v1::MountPropagation>(mount.propagation));
  return out;
}

// A container that never ran has no times but its creation; one that could not be started ended all the same.
void FillTimes(const sandbox::ContainerRecord& record, v1::ContainerStatus& out) {
  if (record.state != ContainerState::kCreated) out.set_started_at(record.started_at_ns);
  if (record.state == ContainerState::kExited) {
    out.set_finished_at(record.finished_at_ns);
    out.set_exit_code(record.exit_code);
  }
}

std::string ReasonOf(const sandbox::ContainerRecord& record) {
  if (!record.reason.empty() || record.state != ContainerState::kExited) return record.reason;
  return record.exit_code == 0 ? "Completed" : "Error";
}

// All groups of the first process, the primary one too, as `id -G` shows them; ascending.
void FillUser(const runtime::User& user, v1::LinuxContainerUser& out) {
  out.set_uid(user.uid);
  out.set_gid(user.gid);
  std::set<int64_t> groups(user.additional_gids.begin(), user.additional_gids.end());
  groups.insert(user.gid);
  for (const int64_t group : groups) out.add_supplemental_groups(group);
}

bool IsNumber(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

v1::PodSandbox ToPodSandbox(const sandbox::SandboxRecord& record) {
  v1::PodSandbox out;
  FillSandbox(record, out);
  return out;
}

v1::PodSandboxStatus ToPodSandboxStatus(const sandbox::SandboxRecord& record) {
  v1::PodSandboxStatus out;
  FillSandbox(record, out);
  const sandbox::NamespaceOptions& namespaces = record.spec.namespaces;
  v1::PodSandboxNetworkStatus* network = out.mutable_network();
  if (record.state == sandbox::SandboxState::kReady && namespaces.network != NamespaceMode::kNode) {
    for (size_t i = 0; i < record.ips.size(); ++i) {
      *(i == 0 ? network->mutable_ip() : network->add_additional_ips()->mutable_ip()) = record.ips[i];
    }
  }
  v1::NamespaceOption* options = out.mutable_linux()->mutable_namespaces()->mutable_options();
  options->set_network(ToMode(namespaces.network));
  options->set_pid(ToMode(namespaces.pid));
  options->set_ipc(ToMode(namespaces.ipc));
  if (!namespaces.has_user()) return out;
  v1::UserNamespace* user = options->mutable_userns_options();
  user->set_mode(v1::POD);
  FillMappings(namespaces.uids, *user->mutable_uids());
  FillMappings(namespaces.gids, *user->mutable_gids());
  return out;
}

v1::Container ToContainer(const sandbox::ContainerRecord& record) {
  v1::Container out;
  FillContainer(record, out);
  out.set_pod_sandbox_id(record.sandbox.str());
  return out;
}

v1::ContainerStatus ToContainerStatus(const sandbox::ContainerRecord& record) {
  v1::ContainerStatus out;
  FillContainer(record, out);
  FillTimes(record, out);
  out.set_reason(ReasonOf(record));
  out.set_message(record.message);
  out.set_log_path(record.log_path);
  for (const sandbox::ContainerMount& mount : record.spec.mounts) *out.add_mounts() = ToMount(mount);
  *out.mutable_resources()->mutable_linux() = ToLinuxContainerResources(record.spec);
  FillUser(record.launch.process.user, *out.mutable_user()->mutable_linux());
  out.set_stop_signal(ToSignal(record.stop_signal));
  return out;
}

v1::LinuxContainerResources ToLinuxContainerResources(const sandbox::ContainerSpec& spec) {
  v1::LinuxContainerResources out = ToProto(spec.resources);
  out.set_oom_score_adj(spec.oom_score_adj.value_or(0));
  return out;
}

v1::LinuxContainerResources ToProto(const cgroups::Resources& resources) {
  v1::LinuxContainerResources out;
  out.set_cpu_period(static_cast<int64_t>(resources.cpu_period_us));
  out.set_cpu_quota(resources.cpu_quota_us.value_or(0));
  out.set_cpu_shares(static_cast<int64_t>(resources.cpu_shares));
  out.set_memory_limit_in_bytes(resources.memory_limit_bytes.value_or(0));
  out.set_memory_swap_limit_in_bytes(resources.swap_limit_bytes.value_or(0));
  out.set_cpuset_cpus(resources.cpuset_cpus);
  out.set_cpuset_mems(resources.cpuset_mems);
  for (const auto& [size, bytes] : resources.hugepage_limits) {
    v1::HugepageLimit* limit = out.add_hugepage_limits();
    limit->set_page_size(size);
    limit->set_limit(bytes);
  }
  SetMap(resources.unified, out.mutable_unified());
  return out;
}

v1::Image ToImage(const overlay::Image& image) {
  v1::Image out;
  out.set_id(image.id);
  for (const std::string& tag : image.repo_tags) out.add_repo_tags(tag);
  for (const std::string& digest : image.repo_digests) out.add_repo_digests(digest);
  out.set_size(image.size_bytes);
  out.set_pinned(image.pinned);
  // Digits that are no uid stay a name: kubelet's runAsNonRoot refuses names, and takes a uid at its word.
  const std::string user = image.config.user.substr(0, image.config.user.find(':'));
  int64_t uid = 0;
  const bool number = IsNumber(user) && std::from_chars(user.data(), user.data() + user.size(), uid).ec == std::errc{};
  if (number && uid <= sandbox::kMaxUserId) {
    out.mutable_uid()->set_value(uid);
  } else {
    out.set_username(user);
  }
  return out;
}

}  // namespace fermata::cri
