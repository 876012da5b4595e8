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

// An overlay's root shows the owner of its upper directory, which is not mapped: it has to belong to who owns the
// image's root inside the user namespace.
Result<> MapOwner(const std::string& upper, const runtime::UserMappings& user) {
  ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(AT_FDCWD, upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  struct stat status {};
  if (::fstat(directory.get(), &status) != 0) return Error::Errno("stat ", upper);
  const auto uid = runtime::HostId(user.uids, status.st_uid);
  const auto gid = runtime::HostId(user.gids, status.st_gid);
  if (!uid || !gid) {
    return Error::Make(ErrorCode::kInvalidArgument, "the image's root directory belongs to ",
                       std::to_string(status.st_uid), ":", std::to_string(status.st_gid),
                       ", which the user namespace does not map");
  }
  if (::fchown(directory.get(), *uid, *gid) != 0) return Error::Errno("chown ", upper);
  return {};
}

Result<> CreateSnapshot(ContainerBuild& build) {
  ASSIGN_OR_RETURN(const overlay::Snapshot snapshot,
                   build.engine.images->CreateSnapshot(build.record.id.str(), *build.image, build.volumes));
  return build.user ? MapOwner(snapshot.upper, *build.user) : Result<>();
}

Result<> RemoveSnapshot(ContainerBuild& build) { return build.engine.images->RemoveSnapshot(build.record.id.str()); }

Result<> PutRecord(ContainerBuild& build) { return build.engine.store->Put(build.record); }

Result<> EraseRecord(ContainerBuild& build) { return build.engine.store->Erase(build.record.id); }

// Sources are not touched here: they may hang, and the container's own process opens, or makes, them.
Result<> CheckMounts(ContainerBuild& build) { return CheckMountSources(*build.engine.paths, build.record.spec); }

Result<> KeepMounts(ContainerBuild&) { return {}; }  // what is in them is the user's

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
                                      .terminal = record.spec.tty,
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
    {"check mounts", CheckMounts, KeepMounts},
    {"create control group", CreateGroup, RemoveGroup},
    {"open log", OpenLogFile, CloseLogFile},
    {"start process", StartProcess, EndProcess},
}};

}  // namespace

std::span<const Step<ContainerBuild>> ContainerCreateSteps() { return kCreateSteps; }
std::span<const Step<ContainerBuild>> ContainerStartSteps() { return kStartSteps; }

}  // namespace fermata::sandbox
