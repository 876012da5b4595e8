#include "runtime/launch/container_plan.h"

#include <sched.h>
#include <sys/mount.h>

#include <algorithm>

#include "runtime/launch/identity.h"
#include "runtime/launch/mounts.h"
#include "runtime/launch/scheduling.h"

namespace fermata::runtime {
namespace {

void AddJoin(PlanBuilder& plan, uint64_t namespaces, std::string_view label, int16_t slot = kJoinSlot) {
  PlanStep& step = plan.Add(Op::kSetns, label);
  step.fd = slot;
  step.a = namespaces;
}

// How the process gets into its PID namespace: by birth, or, with two stages, at the second one.
void SetPidNamespace(PlanBuilder& plan, PidNamespace pid, bool two_stages) {
  if (pid == PidNamespace::kOwn) plan.header().clone_flags |= CLONE_NEWPID;
  if (pid == PidNamespace::kJoin && !two_stages) plan.header().join_pid_namespace = 1;
}

constexpr uint32_t kNanoseconds = 1'000'000'000;

// The process is in it from its execve on.
Result<> AddTimeNamespace(PlanBuilder& plan, const Linux& settings) {
  const bool wanted = std::ranges::any_of(
      settings.namespaces, [](const Namespace& entry) { return entry.type == "time" && entry.path.empty(); });
  if (!wanted && settings.time_offsets.empty()) return {};
  if (!wanted) return Error::Make(ErrorCode::kInvalidArgument, "timeOffsets need a new time namespace");
  plan.Add(Op::kUnshare, "make time namespace").a = CLONE_NEWTIME;
  std::string text;
  for (const auto& [clock, offset] : settings.time_offsets) {
    if ((clock != "monotonic" && clock != "boottime") || offset.nanoseconds >= kNanoseconds) {
      return Error::Make(ErrorCode::kInvalidArgument, "timeOffsets: ", clock, ": only monotonic and boottime, with ",
                         "less than a second of nanoseconds");
    }
    text += clock + ' ' + std::to_string(offset.seconds) + ' ' + std::to_string(offset.nanoseconds) + '\n';
  }
  if (!text.empty()) plan.Add(Op::kTimeOffsets, "set time offsets").text = plan.Text(text);
  return {};
}

struct TemplateMount {
  const char *type, *directory;
  std::vector<std::pair<std::string, std::string>> data;
};

// Makes `type` and attaches it on `directory` of the template's root.
void AddTemplateMount(PlanBuilder& plan, int16_t root, const TemplateMount& mount, int16_t out) {
  const std::string label = std::string("mount ") + mount.type + " in the pod's mount namespace";
  const int16_t context = plan.Slot();
  PlanStep& open = plan.Add(Op::kFsOpen, label);
  open.text = plan.Text(mount.type);
  open.out = context;
  for (const auto& [key, value] : mount.data) {
    PlanStep& step = plan.Add(Op::kFsConfig, label + ": option " + key);
    step.fd = context;
    step.text = plan.Text(key);
    step.text2 = plan.Text(value);
  }
  PlanStep& create = plan.Add(Op::kFsMount, label);
  create.fd = context;
  create.out = out;
  create.a = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  if (root == kNoSlot) return;
  PlanStep& make = plan.Add(Op::kMakeDirectory, label);
  make.fd = root;
  make.text = plan.Text(mount.directory);
  make.a = 0755;
  PlanStep& move = plan.Add(Op::kMoveMount, label);
  move.fd = out;
  move.fd2 = root;
  move.text = plan.Text(mount.directory);
}

// The template that containers join and copy: r for their root, p proc, s sysfs, m the pod's /dev/shm.
// The new root is attached somewhere in the old one first, because pivot_root asks for a mount point.
void AddTemplate(PlanBuilder& plan, const PauseLaunch& launch) {
  plan.Add(Op::kPrivateRoot, "make mounts private");
  const int16_t root = plan.Slot();
  AddTemplateMount(plan, kNoSlot, {"tmpfs", "", {{"mode", "0755"}, {"size", "65536"}}}, root);
  PlanStep& make = plan.Add(Op::kMakeDirectory, "make the mount point of root file systems");
  make.fd = root;
  make.text = plan.Text("r");
  make.a = 0755;
  PlanStep& attach = plan.Add(Op::kMoveMount, "attach the pod's mount namespace");
  attach.fd = root;
  attach.text = plan.Text("/dev");
  const int16_t proc = plan.Slot();
  AddTemplateMount(plan, root, {"proc", "p", {}}, proc);
  AddTemplateMount(plan, root, {"sysfs", "s", {}}, plan.Slot());
  AddTemplateMount(plan, root, {"tmpfs", "m", {{"mode", "1777"}, {"size", std::to_string(launch.shm_bytes)}}},
                   plan.Slot());
  for (const auto& [name, value] : launch.sysctls) {
    std::string path = "sys/" + name;
    std::replace(path.begin(), path.end(), '.', '/');
    PlanStep& step = plan.Add(Op::kSysctl, "set sysctl " + name + "=" + value);
    step.fd = proc;
    step.text = plan.Text(path);
    step.text2 = plan.Text(value);
  }
  plan.Add(Op::kPivotRoot, "change root to the pod's mount namespace").fd = root;
}

}  // namespace

Result<LaunchPlan> PlanPause(const PauseLaunch& launch) {
  PlanBuilder plan;
  plan.header().clone_flags = launch.new_namespaces | CLONE_NEWNS;
  plan.Add(Op::kSetsid, "start session");
  plan.Add(Op::kNewKeyring, "start session keyring").flags = kPermissionOk;
  PlanStep& oom = plan.Add(Op::kOomScoreAdj, "set oom_score_adj");
  oom.text = plan.Text(std::to_string(launch.oom_score_adj));
  oom.flags = kPermissionOk;
  if ((launch.new_namespaces & CLONE_NEWUTS) != 0 && !launch.hostname.empty()) {
    plan.Add(Op::kHostname, "set hostname " + launch.hostname).text = plan.Text(launch.hostname);
  }
  if ((launch.new_namespaces & CLONE_NEWNET) != 0) plan.Add(Op::kLoopbackUp, "bring up lo");
  AddTemplate(plan, launch);
  plan.Add(Op::kBoundingSet, "drop capabilities").a = 0;
  plan.Add(Op::kCapabilities, "drop capabilities");
  const std::vector<std::string> arguments = {"fermata-pause"};
  plan.Execute({}, arguments, {}, "exec pause");
  return plan.Finish();
}

Result<LaunchPlan> PlanContainer(const ContainerLaunch& launch) {
  PlanBuilder plan;
  SetPidNamespace(plan, launch.pid, launch.two_stages);
  const bool second_stage = launch.two_stages && launch.pid == PidNamespace::kJoin;
  RETURN_IF_ERROR(AddEarlySteps(plan, launch.spec.process));
  RETURN_IF_ERROR(AddPersonality(plan, launch.spec.linux.personality));
  MountPlanner mounts(plan, launch);
  RETURN_IF_ERROR(mounts.OpenHostTrees());
  AddJoin(plan, launch.join_namespaces | CLONE_NEWNS, "join the pod's namespaces");
  plan.Add(Op::kUnshare, "make mount and cgroup namespace").a = CLONE_NEWNS | CLONE_NEWCGROUP;
  RETURN_IF_ERROR(AddTimeNamespace(plan, launch.spec.linux));
  RETURN_IF_ERROR(mounts.AttachMounts());
  mounts.EnterRoot();
  if (second_stage) AddJoin(plan, CLONE_NEWPID, "join the pod's PID namespace", kPidSlot);
  RETURN_IF_ERROR(AddIdentitySteps(plan, launch.spec.process, launch.seccomp, second_stage));
  return plan.Finish();
}

Result<LaunchPlan> PlanExec(const ExecLaunch& launch) {
  PlanBuilder plan;
  SetPidNamespace(plan, launch.pid, launch.two_stages);
  const bool second_stage = launch.two_stages && launch.pid != PidNamespace::kHost;
  const CpuAffinity affinity = launch.process.exec_cpu_affinity.value_or(CpuAffinity{});
  RETURN_IF_ERROR(AddCpuAffinity(plan, affinity.initial_cpus), "execCPUAffinity.initial");
  RETURN_IF_ERROR(AddEarlySteps(plan, launch.process));
  RETURN_IF_ERROR(AddPersonality(plan, launch.personality));
  uint64_t namespaces = launch.join_namespaces | CLONE_NEWNS | CLONE_NEWCGROUP;
  if (second_stage) namespaces |= CLONE_NEWPID;
  AddJoin(plan, namespaces, "join the container's namespaces");
  RETURN_IF_ERROR(AddCpuAffinity(plan, affinity.final_cpus), "execCPUAffinity.final");
  PlanStep& directory = plan.Add(Op::kChangeDirectory, "enter working directory " + launch.process.cwd);
  directory.text = plan.Text(launch.process.cwd);
  RETURN_IF_ERROR(AddIdentitySteps(plan, launch.process, launch.seccomp, second_stage));
  return plan.Finish();
}

Result<> CheckProcess(const Process& process) {
  PlanBuilder plan;
  RETURN_IF_ERROR(AddEarlySteps(plan, process));
  RETURN_IF_ERROR(AddIdentitySteps(plan, process, nullptr, false));
  RETURN_IF_ERROR(plan.Finish());
  return {};
}

}  // namespace fermata::runtime
