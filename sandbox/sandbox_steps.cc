#include "sandbox/sandbox_steps.h"

#include <fcntl.h>
#include <sched.h>

#include <array>

#include "cgroups/placement.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "sandbox/pod_files.h"

namespace fermata::sandbox {
namespace {

constexpr auto kEmptyDeadline = std::chrono::seconds(10);
constexpr int kPauseOomScore = -998;  // as kubelet's own pause containers

std::string MonitorGroup(const SandboxBuild& build) {
  return build.engine.config.cgroup_root + "/monitors/" + build.record.id.str();
}

// True when the pod's parent group is one that we invented for it.
bool OwnsParent(const SandboxBuild& build) { return build.record.spec.cgroup_parent.empty(); }

Result<> KillAndRemoveGroup(Engine& engine, const std::string& path) {
  auto group = engine.cgroup_mount.OpenBelow(path);
  if (!group) return {};
  RETURN_IF_ERROR(group->Kill());
  RETURN_IF_ERROR(group->WaitEmpty(kEmptyDeadline));
  return engine.cgroup_mount.Remove(path);
}

Result<> RecordIntent(SandboxBuild& build) { return build.engine.store->Put(build.record); }
Result<> EraseRecord(SandboxBuild& build) { return build.engine.store->Erase(build.record.id); }

Result<> MakeRunDirectory(SandboxBuild& build) {
  RETURN_IF_ERROR(MakeDirectories(build.engine.sandboxes_dir.get(), build.record.id.str(), 0700));
  return {};
}
Result<> RemoveRunDirectory(SandboxBuild& build) {
  return RemoveTree(build.engine.sandboxes_dir.get(), build.record.id.str());
}

Result<> MakeGroups(SandboxBuild& build) {
  RETURN_IF_ERROR(build.engine.cgroup_mount.Create(MonitorGroup(build)));
  ASSIGN_OR_RETURN(auto created, build.engine.cgroup_mount.Create(build.record.group, {WantedControllers()}));
  build.group = std::move(created.cgroup);
  // Of a group that somebody else has named, he sets the limits too.
  if (!OwnsParent(build)) return {};
  ASSIGN_OR_RETURN(const cgroups::Cgroup pod, build.engine.cgroup_mount.OpenBelow(build.record.containers_group));
  ASSIGN_OR_RETURN(const cgroups::ApplyReport report,
                   cgroups::Apply(pod, build.record.spec.resources, build.engine.config.missing_controllers));
  for (const std::string& warning : report.warnings) log::warn("pod {}: {}", build.record.id.str(), warning);
  return {};
}
Result<> RemoveGroups(SandboxBuild& build) {
  RETURN_IF_ERROR(
      KillAndRemoveGroup(build.engine, OwnsParent(build) ? build.record.containers_group : build.record.group));
  return KillAndRemoveGroup(build.engine, MonitorGroup(build));
}

Result<> StartMonitor(SandboxBuild& build) {
  Engine& engine = build.engine;
  ASSIGN_OR_RETURN(const UniqueFd directory,
                   OpenAt(engine.sandboxes_dir.get(), build.record.id.str(), O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const cgroups::Cgroup group, engine.cgroup_mount.OpenBelow(MonitorGroup(build)));
  ASSIGN_OR_RETURN(auto monitor, runtime::MonitorClient::Start(*engine.reactor, *engine.zygote, directory.get(),
                                                               group.fd(), build.events));
  const std::lock_guard lock(build.live->mutex);
  build.live->monitor = std::move(monitor);
  return {};
}
Result<> EndMonitor(SandboxBuild& build) {
  std::shared_ptr<runtime::MonitorClient> monitor;
  {
    const std::lock_guard lock(build.live->mutex);
    monitor = std::move(build.live->monitor);
    build.live->monitor = nullptr;
  }
  if (monitor != nullptr) RETURN_IF_ERROR(monitor->Quit());
  return KillAndRemoveGroup(build.engine, MonitorGroup(build));
}

uint64_t NewNamespaces(const NamespaceOptions& modes) {
  uint64_t flags = 0;
  if (modes.network != NamespaceMode::kNode)
    flags |= CLONE_NEWNET | CLONE_NEWUTS;  // the host's network has the host's name
  if (modes.ipc != NamespaceMode::kNode) flags |= CLONE_NEWIPC;
  // In a user namespace pause has one in any case: it holds a proc of it, without which nobody may mount another.
  if (modes.pid == NamespaceMode::kPod || modes.has_user()) flags |= CLONE_NEWPID;
  return flags;
}

Result<> StartPause(SandboxBuild& build) {
  const SandboxSpec& spec = build.record.spec;
  runtime::PauseLaunch launch;
  launch.new_namespaces = NewNamespaces(spec.namespaces);
  launch.hostname = spec.hostname;
  launch.shm_bytes = spec.shm_bytes;
  launch.sysctls = spec.sysctls;
  launch.oom_score_adj = kPauseOomScore;
  launch.user = UserMappingsOf(spec.namespaces);
  if (spec.namespaces.network != NamespaceMode::kNode) {
    launch.sysctls.try_emplace("net.ipv4.ip_unprivileged_port_start", "0");  // as containerd 2
  }
  ASSIGN_OR_RETURN(const runtime::LaunchPlan plan, runtime::PlanPause(launch));
  if (build.group.fd() < 0) {
    ASSIGN_OR_RETURN(build.group, build.engine.cgroup_mount.OpenBelow(build.record.group));
  }
  ASSIGN_OR_RETURN(build.record.pause_pid, build.live->monitor->StartPause(plan, build.group.fd()));
  return {};
}
Result<> StopPause(SandboxBuild& build) {
  std::shared_ptr<runtime::MonitorClient> monitor;
  {
    const std::lock_guard lock(build.live->mutex);
    monitor = build.live->monitor;
  }
  if (monitor == nullptr) return {};
  Result<> stopped = monitor->Stop();
  // A monitor that does not answer is ended too; the groups are killed all the same.
  if (!stopped && stopped.error().code() == ErrorCode::kUnavailable) {
    monitor->KillMonitor();
    return {};
  }
  return stopped;
}

Result<> AttachNetwork(SandboxBuild& build) {
  if (build.record.spec.namespaces.network == NamespaceMode::kNode) return {};
  ASSIGN_OR_RETURN(build.record.ips, build.engine.network.Attach(build.record, build.record.pause_pid));
  return {};
}
Result<> DetachNetwork(SandboxBuild& build) {
  if (build.record.spec.namespaces.network == NamespaceMode::kNode) return {};
  return build.engine.network.Detach(build.record);
}

Result<> WriteFiles(SandboxBuild& build) {
  ASSIGN_OR_RETURN(const UniqueFd directory,
                   OpenAt(build.engine.sandboxes_dir.get(), build.record.id.str(), O_RDONLY | O_DIRECTORY));
  return WritePodFiles(directory.get(), build.record);
}
Result<> KeepFiles(SandboxBuild&) { return {}; }  // they go with the run directory

Result<> RecordReady(SandboxBuild& build) {
  build.record.state = SandboxState::kReady;
  return build.engine.store->Put(build.record);
}
Result<> RecordNotReady(SandboxBuild& build) {
  auto updated = build.engine.store->Update(build.record.id, [](SandboxRecord& r) {
    if (r.state == SandboxState::kReady) r.state = SandboxState::kNotReady;
    r.pause_pid = 0;
    r.ips.clear();
  });
  if (!updated && updated.error().code() != ErrorCode::kNotFound) return std::move(updated).error();
  return {};
}

constexpr size_t kPersistentSteps = 3;
constexpr std::array<Step<SandboxBuild>, 8> kSteps = {{
    {"record sandbox", RecordIntent, EraseRecord},
    {"make directories", MakeRunDirectory, RemoveRunDirectory},
    {"make control groups", MakeGroups, RemoveGroups},
    {"start monitor", StartMonitor, EndMonitor},
    {"start pause", StartPause, StopPause},
    {"attach network", AttachNetwork, DetachNetwork},
    {"write pod files", WriteFiles, KeepFiles},
    {"record ready", RecordReady, RecordNotReady},
}};

}  // namespace

std::span<const Step<SandboxBuild>> SandboxSteps() { return kSteps; }
std::span<const Step<SandboxBuild>> SandboxRunningSteps() { return std::span(kSteps).subspan(kPersistentSteps); }

}  // namespace fermata::sandbox
