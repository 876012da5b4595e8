#include "sandbox/container_steps.h"

#include <sys/stat.h>

#include <array>

#include "runtime/base/file.h"
#include "sandbox/container_manager.h"
#include "sandbox/launch_spec.h"
#include "sandbox/mount_source.h"

namespace fermata::sandbox {
namespace {

constexpr auto kEmptyDeadline = std::chrono::seconds(10);

Result<> CreateSnapshot(ContainerBuild& build) {
  RETURN_IF_ERROR(build.engine.images->CreateSnapshot(build.record.id.str(), *build.image));
  return {};
}

Result<> RemoveSnapshot(ContainerBuild& build) { return build.engine.images->RemoveSnapshot(build.record.id.str()); }

Result<> PutRecord(ContainerBuild& build) { return build.engine.store->Put(build.record); }

Result<> EraseRecord(ContainerBuild& build) { return build.engine.store->Erase(build.record.id); }

// What charts with an untyped hostPath rely on: a missing source is a directory to be made.
Result<> MakeHostPaths(ContainerBuild& build) {
  for (const ContainerMount& mount : build.record.spec.mounts) {
    RETURN_IF_ERROR(CheckMountSource(mount, build.record.spec.security.privileged));
    struct stat status {};
    if (::stat(mount.host_path.c_str(), &status) == 0) continue;
    if (errno != ENOENT) {
      return Error::Errno("mount source ", mount.host_path).WithCode(ErrorCode::kInvalidArgument);
    }
    if (build.engine.config.reject_missing_host_path) {
      return Error::Make(ErrorCode::kInvalidArgument, "mount source ", mount.host_path, ": does not exist");
    }
    RETURN_IF_ERROR(MakeDirectories(AT_FDCWD, mount.host_path));
  }
  return {};
}

Result<> KeepHostPaths(ContainerBuild&) { return {}; }  // what is in them is the user's

Result<> AttachDevicePolicy(ContainerBuild& build) {
  const ContainerSpec& spec = build.record.spec;
  if (spec.security.privileged || !spec.devices.empty()) {
    ASSIGN_OR_RETURN(const auto rules, DeviceRules(spec));
    return cgroups::AttachDevices(build.cgroup, rules);
  }
  const std::lock_guard lock(build.engine.device_mutex);
  if (!build.engine.default_devices) {
    ASSIGN_OR_RETURN(auto program, cgroups::DeviceProgram::Load(cgroups::DefaultDeviceRules()));
    build.engine.default_devices = std::move(program);
  }
  return build.engine.default_devices->Attach(build.cgroup);
}

Result<> CreateGroup(ContainerBuild& build) {
  ASSIGN_OR_RETURN(auto created, build.engine.cgroup_mount.Create(build.record.group, {WantedControllers()}));
  build.cgroup = std::move(created.cgroup);
  ASSIGN_OR_RETURN(const cgroups::ApplyReport report,
                   cgroups::Apply(build.cgroup, build.record.spec.resources, build.engine.config.missing_controllers));
  for (const std::string& warning : report.warnings) log::warn("container {}: {}", build.record.id.str(), warning);
  return AttachDevicePolicy(build);
}

Result<> RemoveGroup(ContainerBuild& build) {
  auto group = build.engine.cgroup_mount.OpenBelow(build.record.group);
  if (!group) return {};  // was never made, or is gone
  RETURN_IF_ERROR(group->Kill());
  RETURN_IF_ERROR(group->WaitEmpty(kEmptyDeadline));
  return build.engine.cgroup_mount.Remove(build.record.group);
}

Result<> OpenLogFile(ContainerBuild& build) {
  if (build.record.log_path.empty()) return {};
  ASSIGN_OR_RETURN(build.log, OpenLog(build.record));
  return {};
}

Result<> CloseLogFile(ContainerBuild& build) {
  build.log.Reset();  // the file stays: it is the caller's
  return {};
}

Result<> StartProcess(ContainerBuild& build) {
  const ContainerRecord& record = build.record;
  const runtime::ContainerStart start{.cgroup_fd = build.cgroup.fd(),
                                      .log_fd = build.log.get(),
                                      .want_stdin = record.spec.want_stdin,
                                      .pid_target = record.spec.security.namespaces.pid == NamespaceMode::kTarget
                                                        ? record.spec.security.namespaces.target_id
                                                        : ""};
  ASSIGN_OR_RETURN(build.started, build.monitor->StartContainer(record.id.str(), *build.plan, start));
  return {};
}

Result<> EndProcess(ContainerBuild&) { return {}; }  // RemoveGroup kills whatever is in the group

constexpr std::array<Step<ContainerBuild>, 2> kCreateSteps = {{
    {"create snapshot", CreateSnapshot, RemoveSnapshot},
    {"record container", PutRecord, EraseRecord},
}};

constexpr std::array<Step<ContainerBuild>, 4> kStartSteps = {{
    {"make mount sources", MakeHostPaths, KeepHostPaths},
    {"create control group", CreateGroup, RemoveGroup},
    {"open log", OpenLogFile, CloseLogFile},
    {"start process", StartProcess, EndProcess},
}};

}  // namespace

std::span<const Step<ContainerBuild>> ContainerCreateSteps() { return kCreateSteps; }
std::span<const Step<ContainerBuild>> ContainerStartSteps() { return kStartSteps; }

}  // namespace fermata::sandbox
