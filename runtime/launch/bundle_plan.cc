#include "runtime/launch/bundle_plan.h"

#include <sched.h>

#include <algorithm>
#include <array>

#include "runtime/launch/identity.h"
#include "runtime/launch/mounts.h"
#include "runtime/launch/namespaces.h"
#include "runtime/launch/scheduling.h"
#include "runtime/launch/sysctl.h"

namespace fermata::runtime {
namespace {

struct Kind {
  std::string_view name;
  uint64_t flag;
};
constexpr std::array kKinds = {Kind{"pid", CLONE_NEWPID},       Kind{"network", CLONE_NEWNET},
                               Kind{"ipc", CLONE_NEWIPC},       Kind{"uts", CLONE_NEWUTS},
                               Kind{"mount", CLONE_NEWNS},      Kind{"user", CLONE_NEWUSER},
                               Kind{"cgroup", CLONE_NEWCGROUP}, Kind{"time", CLONE_NEWTIME}};

// The namespaces of a spec: made anew, joined, or (neither) the launcher's.
struct Namespaces {
  uint64_t made = 0;
  uint64_t joined = 0;
  std::vector<std::pair<uint64_t, int16_t>> slots;  // of those joined, besides pid

  [[nodiscard]] bool Makes(uint64_t flag) const { return (made & flag) != 0; }
  [[nodiscard]] bool Owns(uint64_t flag) const { return ((made | joined) & flag) != 0; }
};

Result<Namespaces> ReadNamespaces(PlanBuilder& plan, const Spec& spec) {
  Namespaces namespaces;
  for (const Namespace& entry : spec.linux.namespaces) {
    ASSIGN_OR_RETURN(const uint64_t flag, NamespaceFlag(entry.type));
    if (namespaces.Owns(flag)) {
      return Error::Make(ErrorCode::kInvalidArgument, "namespaces: ", entry.type, " is there twice");
    }
    (entry.path.empty() ? namespaces.made : namespaces.joined) |= flag;
    if (!entry.path.empty() && flag != CLONE_NEWPID) namespaces.slots.emplace_back(flag, plan.Given());
  }
  if (!namespaces.Makes(CLONE_NEWNS)) {
    return Error::Make(ErrorCode::kInvalidArgument, "namespaces: a container needs a new mount namespace");
  }
  const bool mapped = !spec.linux.uid_mappings.empty() || !spec.linux.gid_mappings.empty();
  if (namespaces.Makes(CLONE_NEWUSER) != mapped) {
    return Error::Make(ErrorCode::kInvalidArgument, mapped ? "uidMappings and gidMappings need a new user namespace"
                                                           : "a new user namespace needs uidMappings and gidMappings");
  }
  if (mapped) RETURN_IF_ERROR(CheckMappings({spec.linux.uid_mappings, spec.linux.gid_mappings}));
  return namespaces;
}

// What the launcher gives beside namespaces.
struct GivenSlots {
  StartGate gate;
  int16_t gate_pipe = kNoSlot;
  int16_t console = kNoSlot;
  int16_t listener = kNoSlot;
  int16_t preserved = kNoSlot;
};

GivenSlots TakeGiven(PlanBuilder& plan, const BundleLaunch& launch) {
  GivenSlots given;
  given.gate.start = plan.Given();
  given.gate.started = plan.Given();
  if (HasRuntimeHooks(launch.spec) || HasContainerHooks(launch.spec)) given.gate_pipe = plan.Given();
  if (HasContainerHooks(launch.spec)) given.gate.state = plan.Given();
  given.gate.hooks = &launch.spec.hooks.start_container;
  if (launch.spec.process.terminal) given.console = plan.Given();
  if (launch.seccomp != nullptr && launch.seccomp->notifies) given.listener = plan.Given();
  given.preserved = AddGiven(plan, launch.preserved);
  return given;
}

// With the host's rights all of them can be joined; what belongs to a user namespace is made after entering it.
void EnterNamespaces(PlanBuilder& plan, const Namespaces& namespaces, int16_t user_ns) {
  for (const auto& [flag, slot] : namespaces.slots) {
    if (flag == CLONE_NEWUSER) continue;
    AddJoin(plan, slot, flag, "join namespace");
  }
  if (user_ns != kNoSlot) AddJoin(plan, user_ns, CLONE_NEWUSER, "join user namespace");
  const bool stage = user_ns != kNoSlot && namespaces.Makes(CLONE_NEWPID);
  // proc can be mounted only in a PID namespace that belongs to the user namespace: it is made inside.
  if (stage) plan.Add(Op::kStage, "make PID namespace").a = CLONE_NEWPID;
  constexpr uint64_t kByUnshare = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  plan.Add(Op::kUnshare, "make namespaces").a = namespaces.made & kByUnshare;
}

Result<> SetUpNamespaces(PlanBuilder& plan, const Spec& spec, const Namespaces& namespaces) {
  plan.Add(Op::kPrivateRoot, "make mounts private");
  if ((!spec.hostname.empty() || !spec.domainname.empty()) && !namespaces.Owns(CLONE_NEWUTS)) {
    return Error::Make(ErrorCode::kInvalidArgument, "hostname and domainname need a UTS namespace");
  }
  if (!spec.hostname.empty()) plan.Add(Op::kHostname, "set hostname " + spec.hostname).text = plan.Text(spec.hostname);
  if (!spec.domainname.empty()) {
    plan.Add(Op::kDomainname, "set domainname " + spec.domainname).text = plan.Text(spec.domainname);
  }
  if (namespaces.Makes(CLONE_NEWNET)) plan.Add(Op::kLoopbackUp, "bring up lo");
  if (spec.linux.sysctl.empty()) return {};
  const SysctlOwner owner{namespaces.Owns(CLONE_NEWNET), namespaces.Owns(CLONE_NEWIPC), namespaces.Owns(CLONE_NEWUTS)};
  for (const auto& [name, value] : spec.linux.sysctl) RETURN_IF_ERROR(CheckSysctl(name, value, owner), "sysctl");
  const int16_t proc = AddPrivateProc(plan, "mount proc for sysctls");
  for (const auto& [name, value] : spec.linux.sysctl) AddSysctl(plan, proc, name, value);
  return {};
}

// The user namespace's slot, kNoSlot for none.
int16_t UserSlot(PlanBuilder& plan, const Spec& spec, const Namespaces& namespaces) {
  for (const auto& [flag, slot] : namespaces.slots) {
    if (flag == CLONE_NEWUSER) return slot;
  }
  if (!namespaces.Makes(CLONE_NEWUSER)) return kNoSlot;
  return plan.UserNamespace(IdMapText(spec.linux.uid_mappings), IdMapText(spec.linux.gid_mappings));
}

void AddCreateHooks(PlanBuilder& plan, const Spec& spec, const GivenSlots& given) {
  if (given.gate_pipe != kNoSlot) plan.Add(Op::kGate, "wait for hooks").fd = given.gate_pipe;
  for (const Hook& hook : spec.hooks.create_container) AddHook(plan, hook, given.gate.state, "createContainer");
}

}  // namespace

bool HasRuntimeHooks(const Spec& spec) { return !spec.hooks.prestart.empty() || !spec.hooks.create_runtime.empty(); }

bool HasContainerHooks(const Spec& spec) {
  return !spec.hooks.create_container.empty() || !spec.hooks.start_container.empty();
}

Result<uint64_t> NamespaceFlag(const std::string& type) {
  const auto* found = std::ranges::find(kKinds, type, &Kind::name);
  if (found != kKinds.end()) return found->flag;
  return Error::Make(ErrorCode::kInvalidArgument, "namespaces: unknown type ", type);
}

Result<LaunchPlan> PlanBundle(const BundleLaunch& launch) {
  const Spec& spec = launch.spec;
  PlanBuilder plan;
  ASSIGN_OR_RETURN(const Namespaces namespaces, ReadNamespaces(plan, spec));
  const GivenSlots given = TakeGiven(plan, launch);
  const int16_t user_ns = UserSlot(plan, spec, namespaces);
  const bool joins_pid = (namespaces.joined & CLONE_NEWPID) != 0;
  const bool second_stage = joins_pid && launch.two_stages;
  // By birth, unless the process has to be born again for its time namespace.
  const uint64_t own_pid = user_ns == kNoSlot ? namespaces.made & CLONE_NEWPID : 0;
  if (!namespaces.Makes(CLONE_NEWTIME)) {
    if (joins_pid && !second_stage) plan.header().join_pid_namespace = 1;
    plan.header().clone_flags |= own_pid;
  }

  RETURN_IF_ERROR(AddEarlySteps(plan, spec.process, launch.keep_keyring));
  RETURN_IF_ERROR(AddPersonality(plan, spec.linux.personality));
  RETURN_IF_ERROR(AddMemoryPolicy(plan, spec.linux.memory_policy));
  const bool container_hooks = !spec.hooks.create_container.empty() && user_ns == kNoSlot;
  const MountPlace place{.spec = spec,
                         // Where those hooks, which know the bundle, look for the container's root.
                         .attach_on = container_hooks ? spec.root_path : "/dev",
                         .proc_of_pid_slot = second_stage,
                         .user_ns = user_ns,
                         .host_network = !namespaces.Owns(CLONE_NEWNET),
                         .host_ipc = !namespaces.Owns(CLONE_NEWIPC),
                         .host_cgroup = !namespaces.Owns(CLONE_NEWCGROUP),
                         .console = given.console};
  MountPlanner mounts(plan, place);
  RETURN_IF_ERROR(mounts.OpenHostTrees());
  if (!spec.process.terminal) {
    std::optional<UserMappings> user;
    if (!spec.linux.uid_mappings.empty()) user = UserMappings{spec.linux.uid_mappings, spec.linux.gid_mappings};
    RETURN_IF_ERROR(AddStdioOwner(plan, spec.process, user));
  }
  RETURN_IF_ERROR(AddTimeNamespace(plan, spec.linux, own_pid, joins_pid && !second_stage));
  EnterNamespaces(plan, namespaces, user_ns);
  RETURN_IF_ERROR(SetUpNamespaces(plan, spec, namespaces));
  RETURN_IF_ERROR(mounts.AttachMounts());
  AddCreateHooks(plan, spec, given);
  RETURN_IF_ERROR(mounts.EnterRoot());
  if (mounts.terminal() != kNoSlot) AddTerminalStreams(plan, spec.process, mounts.terminal());
  if (second_stage) AddJoin(plan, kPidSlot, CLONE_NEWPID, "join PID namespace");
  RETURN_IF_ERROR(AddIdentitySteps(plan, spec.process,
                                   {.seccomp = launch.seccomp,
                                    .second_stage = second_stage,
                                    .gate = &given.gate,
                                    .terminal = mounts.terminal(),
                                    .listener = given.listener,
                                    .preserved = given.preserved,
                                    .preserved_count = launch.preserved}));
  return plan.Finish();
}

}  // namespace fermata::runtime
