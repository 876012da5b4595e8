#include "runtime/launch/container_plan.h"

#include <sched.h>

#include "runtime/launch/identity.h"
#include "runtime/launch/mounts.h"
#include "runtime/launch/scheduling.h"

namespace fermata::runtime {
namespace {

// How the process gets into its PID namespace: by birth, or, with two stages, at the second one.
void SetPidNamespace(PlanBuilder& plan, PidNamespace pid, bool two_stages) {
  if (pid == PidNamespace::kOwn) plan.header().clone_flags |= CLONE_NEWPID;
  if (pid == PidNamespace::kJoin && !two_stages) plan.header().join_pid_namespace = 1;
}

}  // namespace

Result<LaunchPlan> PlanContainer(const ContainerLaunch& launch) {
  PlanBuilder plan;
  const int16_t console = launch.spec.process.terminal ? plan.Given() : kNoSlot;
  const bool own_pid = launch.pid == PidNamespace::kOwn;
  // A PID namespace of its own inside a user namespace is born there, or proc could not be mounted in it.
  const bool early_stage = launch.user && own_pid;
  // Nor by birth, where the process has to be born again for its time namespace.
  const bool late = early_stage || MakesTimeNamespace(launch.spec.linux);
  if (!late) SetPidNamespace(plan, launch.pid, launch.two_stages);
  const bool second_stage = launch.two_stages && launch.pid == PidNamespace::kJoin;
  RETURN_IF_ERROR(AddEarlySteps(plan, launch.spec.process));
  RETURN_IF_ERROR(AddPersonality(plan, launch.spec.linux.personality));
  RETURN_IF_ERROR(AddMemoryPolicy(plan, launch.spec.linux.memory_policy));
  const MountPlace place{.spec = launch.spec,
                         .overlay = launch.overlay ? &*launch.overlay : nullptr,
                         .images = &launch.images,
                         .attach_on = "/r",
                         .in_pod = true,
                         .pod_shm = launch.pod_shm,
                         .pod_proc = launch.two_stages,
                         .make_sources = launch.make_sources,
                         .refuse_proc = launch.refuse_proc,
                         .user_ns = launch.user ? plan.PodUserNamespace() : kNoSlot,
                         .host_network = (launch.join_namespaces & CLONE_NEWNET) == 0 || launch.host_network,
                         .host_ipc = !launch.pod_shm,
                         .console = console};
  MountPlanner mounts(plan, place);
  RETURN_IF_ERROR(mounts.OpenHostTrees());
  RETURN_IF_ERROR(AddStdioOwner(plan, launch.spec.process, launch.user));
  RETURN_IF_ERROR(AddTimeNamespace(plan, launch.spec.linux, own_pid && !early_stage ? CLONE_NEWPID : 0,
                                   launch.pid == PidNamespace::kJoin && !second_stage));
  const uint64_t user = launch.user ? CLONE_NEWUSER : 0;
  AddJoin(plan, kJoinSlot, launch.join_namespaces | CLONE_NEWNS | user, "join the pod's namespaces");
  if (early_stage) plan.Add(Op::kStage, "make PID namespace").a = CLONE_NEWPID;
  plan.Add(Op::kUnshare, "make mount and cgroup namespace").a = CLONE_NEWNS | CLONE_NEWCGROUP;
  RETURN_IF_ERROR(mounts.AttachMounts());
  RETURN_IF_ERROR(mounts.EnterRoot());
  if (mounts.terminal() != kNoSlot) AddTerminalStreams(plan, launch.spec.process, mounts.terminal());
  if (second_stage) AddJoin(plan, kPidSlot, CLONE_NEWPID, "join the pod's PID namespace");
  const IdentityOptions identity{
      .seccomp = launch.seccomp, .second_stage = second_stage, .terminal = mounts.terminal()};
  RETURN_IF_ERROR(AddIdentitySteps(plan, launch.spec.process, identity));
  return plan.Finish();
}

Result<LaunchPlan> PlanExec(const ExecLaunch& launch) {
  PlanBuilder plan;
  const int16_t console = launch.console ? plan.Given() : kNoSlot;
  const int16_t listener = launch.listener ? plan.Given() : kNoSlot;
  const int16_t preserved = AddGiven(plan, launch.preserved);
  SetPidNamespace(plan, launch.pid, launch.two_stages);
  const bool second_stage = launch.two_stages && launch.pid != PidNamespace::kHost;
  const CpuAffinity affinity = launch.process.exec_cpu_affinity.value_or(CpuAffinity{});
  RETURN_IF_ERROR(AddCpuAffinity(plan, affinity.initial_cpus), "execCPUAffinity.initial");
  RETURN_IF_ERROR(AddEarlySteps(plan, launch.process));
  RETURN_IF_ERROR(AddPersonality(plan, launch.personality));
  RETURN_IF_ERROR(AddStdioOwner(plan, launch.process, launch.user));
  uint64_t namespaces = launch.join_namespaces | CLONE_NEWNS;
  if (!launch.host_cgroup) namespaces |= CLONE_NEWCGROUP;
  if (launch.user) namespaces |= CLONE_NEWUSER;
  if (second_stage) namespaces |= CLONE_NEWPID;
  AddJoin(plan, kJoinSlot, namespaces, "join the container's namespaces");
  RETURN_IF_ERROR(AddCpuAffinity(plan, affinity.final_cpus), "execCPUAffinity.final");
  const int16_t terminal = launch.console ? AddExecTerminal(plan, launch.process, console) : kNoSlot;
  PlanStep& directory = plan.Add(Op::kChangeDirectory, "enter working directory " + launch.process.cwd);
  directory.text = plan.Text(launch.process.cwd);
  RETURN_IF_ERROR(AddIdentitySteps(plan, launch.process,
                                   {.seccomp = launch.seccomp,
                                    .second_stage = second_stage,
                                    .terminal = terminal,
                                    .listener = listener,
                                    .preserved = preserved,
                                    .preserved_count = launch.preserved}));
  return plan.Finish();
}

Result<> CheckProcess(const Process& process) {
  PlanBuilder plan;
  RETURN_IF_ERROR(AddEarlySteps(plan, process));
  RETURN_IF_ERROR(AddIdentitySteps(plan, process, {}));
  RETURN_IF_ERROR(plan.Finish());
  return {};
}

}  // namespace fermata::runtime
