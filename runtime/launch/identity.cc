#include "runtime/launch/identity.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "runtime/launch/scheduling.h"

namespace fermata::runtime {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr uint64_t kSysAdmin = uint64_t{1} << CAP_SYS_ADMIN;

struct Limit {
  std::string_view name;
  int resource;
};
constexpr std::array kLimits = {Limit{"RLIMIT_AS", RLIMIT_AS},
                                Limit{"RLIMIT_CORE", RLIMIT_CORE},
                                Limit{"RLIMIT_CPU", RLIMIT_CPU},
                                Limit{"RLIMIT_DATA", RLIMIT_DATA},
                                Limit{"RLIMIT_FSIZE", RLIMIT_FSIZE},
                                Limit{"RLIMIT_LOCKS", RLIMIT_LOCKS},
                                Limit{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                                Limit{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
                                Limit{"RLIMIT_NICE", RLIMIT_NICE},
                                Limit{"RLIMIT_NOFILE", RLIMIT_NOFILE},
                                Limit{"RLIMIT_NPROC", RLIMIT_NPROC},
                                Limit{"RLIMIT_RSS", RLIMIT_RSS},
                                Limit{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
                                Limit{"RLIMIT_RTTIME", RLIMIT_RTTIME},
                                Limit{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
                                Limit{"RLIMIT_STACK", RLIMIT_STACK}};

std::string PathOfEnvironment(const std::vector<std::string>& environment) {
  for (const std::string& entry : environment) {
    if (entry.starts_with("PATH=")) return entry.substr(5);
  }
  return kDefaultPath;
}

// What execve is tried with; the look-up itself happens in the child, after the root has changed.
std::vector<std::string> Candidates(const Process& process) {
  const std::string& program = process.args.front();
  if (program.find('/') != std::string::npos) return {program};
  std::vector<std::string> candidates;
  const std::string path = PathOfEnvironment(process.env);
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    // An empty element means the working directory (POSIX); that would run whatever lies there: left out.
    if (end > begin) candidates.push_back(path.substr(begin, end - begin) + "/" + program);
    begin = end + 1;
  }
  return candidates;
}

Result<> AddRlimits(PlanBuilder& plan, const std::vector<Rlimit>& limits) {
  for (const Rlimit& wanted : limits) {
    const auto* known =
        std::find_if(kLimits.begin(), kLimits.end(), [&](const Limit& l) { return l.name == wanted.type; });
    if (known == kLimits.end()) return Error::Make(ErrorCode::kInvalidArgument, "unknown resource limit ", wanted.type);
    if (wanted.soft > wanted.hard) {
      return Error::Make(ErrorCode::kInvalidArgument, wanted.type, ": soft limit is over the hard limit");
    }
    PlanStep& step = plan.Add(Op::kRlimit, "set " + wanted.type);
    step.a = static_cast<uint64_t>(known->resource);
    step.b = wanted.soft;
    step.c = wanted.hard;
  }
  return {};
}

void AddCapset(PlanBuilder& plan, uint64_t effective, uint64_t permitted, uint64_t inheritable) {
  PlanStep& step = plan.Add(Op::kCapabilities, "set capabilities");
  step.a = effective;
  step.b = permitted;
  step.c = inheritable;
}

void AddIds(PlanBuilder& plan, const User& user) {
  PlanStep& groups = plan.Add(Op::kGroups, "set supplementary groups");
  groups.text = plan.Array(user.additional_gids.data(), user.additional_gids.size() * sizeof(uint32_t));
  groups.a = user.additional_gids.size();
  PlanStep& ids = plan.Add(Op::kIds, "set uid " + std::to_string(user.uid) + " and gid " + std::to_string(user.gid));
  ids.a = user.uid;
  ids.b = user.gid;
  plan.Add(Op::kUmask, "set umask").a = user.umask.value_or(022);
}

struct CapabilityMasks {
  uint64_t bounding, effective, permitted, inheritable, ambient;
};

Result<CapabilityMasks> Masks(const Capabilities& sets) {
  CapabilityMasks masks{};
  ASSIGN_OR_RETURN(masks.bounding, CapabilityMask(sets.bounding));
  ASSIGN_OR_RETURN(masks.effective, CapabilityMask(sets.effective));
  ASSIGN_OR_RETURN(masks.permitted, CapabilityMask(sets.permitted));
  ASSIGN_OR_RETURN(masks.inheritable, CapabilityMask(sets.inheritable));
  ASSIGN_OR_RETURN(masks.ambient, CapabilityMask(sets.ambient));
  if ((masks.ambient & ~(masks.permitted & masks.inheritable)) != 0) {
    return Error::Make(ErrorCode::kInvalidArgument, "ambient capabilities must be permitted and inheritable too");
  }
  return masks;
}

// What no profile has to allow for our sake comes before the filter: close_range(2) is younger than many profiles.
void AddSeccomp(PlanBuilder& plan, const SeccompFilter& filter, int16_t listener) {
  plan.Add(Op::kCloseOnExec, "mark descriptors");
  if (filter == nullptr) return;
  PlanStep& step = plan.Add(Op::kSeccomp, "load seccomp filter");
  step.text = plan.Array(filter->instructions.data(), filter->instructions.size() * sizeof(sock_filter));
  step.a = filter->instructions.size();
  step.b = filter->flags;
  step.fd = filter->notifies ? listener : kNoSlot;
}

// Takes effect at execve; set while we may still mount a procfs for it.
void AddLabel(PlanBuilder& plan, SecurityModule module, const std::string& what, const std::string& label) {
  if (label.empty()) return;
  PlanStep& step = plan.Add(Op::kSecurityLabel, "set " + what + " " + label);
  step.text = plan.Text(label);
  step.a = module;
}

Result<> CheckProgram(const Process& process) {
  if (process.args.empty() || process.args.front().empty()) {
    return Error::Make(ErrorCode::kInvalidArgument, "no command: neither the request nor the image names one");
  }
  // Would execute the monitor's own, sealed program inside the container.
  if (process.args.front().starts_with("/proc/self/") || process.args.front().starts_with("/proc/thread-self/")) {
    return Error::Make(ErrorCode::kInvalidArgument, "command ", process.args.front(), ": must not lie in /proc/self");
  }
  return {};
}

}  // namespace

Result<uint64_t> CapabilityMask(const std::vector<std::string>& names) {
  uint64_t mask = 0;
  for (const std::string& name : names) {
    cap_value_t value = 0;
    if (!name.starts_with("CAP_") || ::cap_from_name(name.c_str(), &value) != 0) {
      return Error::Make(ErrorCode::kInvalidArgument, "unknown capability ", name);
    }
    mask |= uint64_t{1} << value;
  }
  return mask;
}

std::vector<std::string> KnownCapabilities() {
  std::vector<std::string> names;
  for (cap_value_t value = 0; ::cap_get_bound(value) >= 0; ++value) {
    char* name = ::cap_to_name(value);
    if (name == nullptr) continue;
    std::string& upper = names.emplace_back(name);
    ::cap_free(name);
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return std::toupper(c); });
  }
  return names;
}

Result<> AddEarlySteps(PlanBuilder& plan, const Process& process, bool keep_keyring) {
  RETURN_IF_ERROR(CheckProgram(process));
  plan.Add(Op::kSetsid, "start session");
  if (!keep_keyring) plan.Add(Op::kNewKeyring, "start session keyring").flags = kPermissionOk;
  PlanStep& oom = plan.Add(Op::kOomScoreAdj, "set oom_score_adj");
  oom.text = plan.Text(std::to_string(process.oom_score_adj.value_or(0)));
  oom.flags = kPermissionOk;  // lowering needs CAP_SYS_RESOURCE; as far as permitted
  RETURN_IF_ERROR(AddRlimits(plan, process.rlimits));
  return AddScheduling(plan, process);
}

Result<> AddStdioOwner(PlanBuilder& plan, const Process& process, const std::optional<UserMappings>& user) {
  std::optional<uint32_t> uid = process.user.uid;
  std::optional<uint32_t> gid = process.user.gid;
  if (user) {
    uid = HostId(user->uids, *uid);
    gid = HostId(user->gids, *gid);
    if (!uid || !gid) {
      return Error::Make(ErrorCode::kInvalidArgument, "user ", std::to_string(process.user.uid), ":",
                         std::to_string(process.user.gid), " is not mapped in the user namespace");
    }
  }
  PlanStep& owner = plan.Add(Op::kStdioOwner, "give standard streams to the user");
  owner.a = *uid;
  owner.b = *gid;
  return {};
}

int16_t AddGiven(PlanBuilder& plan, size_t count) {
  int16_t first = kNoSlot;
  for (size_t i = 0; i < count; ++i) {
    const int16_t slot = plan.Given();
    if (i == 0) first = slot;
  }
  return first;
}

void AddTerminalStreams(PlanBuilder& plan, const Process& process, int16_t terminal) {
  PlanStep& step = plan.Add(Op::kTerminalStreams, "make the terminal the standard streams");
  step.fd = terminal;
  step.a = process.user.uid;
}

int16_t AddExecTerminal(PlanBuilder& plan, const Process& process, int16_t console) {
  PlanStep& open = plan.Add(Op::kTerminal, "open terminal");
  open.fd2 = console;
  open.out = plan.Slot();
  open.a = process.console_width | uint64_t{process.console_height} << 16;
  const int16_t terminal = open.out;
  AddTerminalStreams(plan, process, terminal);
  return terminal;
}

void AddHook(PlanBuilder& plan, const Hook& hook, int16_t state, std::string_view point) {
  std::vector<uint32_t> texts = {plan.Text(hook.path)};
  for (const std::string& argument : hook.args) texts.push_back(plan.Text(argument));
  if (hook.args.empty()) texts.push_back(texts.front());
  for (const std::string& variable : hook.env) texts.push_back(plan.Text(variable));
  const uint32_t position = plan.Array(texts.data(), texts.size() * sizeof(uint32_t));
  PlanStep& step = plan.Add(Op::kHook, std::string(point) + " hook " + hook.path);
  step.fd = state;
  step.text = position;
  step.a = std::max<size_t>(hook.args.size(), 1);
  step.b = hook.env.size();
  step.c = static_cast<uint64_t>(hook.timeout_seconds.value_or(0));
}

namespace {

void AddStartGate(PlanBuilder& plan, const StartGate* gate) {
  if (gate == nullptr) return;
  PlanStep& wait = plan.Add(Op::kAwaitStart, "wait for the start");
  wait.fd = gate->start;
  wait.fd2 = gate->started;
  if (gate->hooks == nullptr) return;
  for (const Hook& hook : *gate->hooks) AddHook(plan, hook, gate->state, "startContainer");
}

// Of the last stage: the end of a session's leader hangs its terminal up (setsid(2), NOTES).
void AddControllingTerminal(PlanBuilder& plan, int16_t terminal) {
  if (terminal != kNoSlot) plan.Add(Op::kControllingTerminal, "make the terminal the controlling one").fd = terminal;
}

void AddPreserved(PlanBuilder& plan, const IdentityOptions& options) {
  if (options.preserved_count == 0) return;
  PlanStep& step = plan.Add(Op::kPreserve, "keep descriptors");
  step.fd = options.preserved;
  step.a = options.preserved_count;
}

}  // namespace

Result<> AddIdentitySteps(PlanBuilder& plan, const Process& process, const IdentityOptions& options) {
  ASSIGN_OR_RETURN(const CapabilityMasks masks, Masks(process.capabilities));
  const SeccompFilter& seccomp = options.seccomp;
  if (!options.second_stage) AddControllingTerminal(plan, options.terminal);
  AddLabel(plan, kAppArmor, "AppArmor profile", process.apparmor_profile);
  AddLabel(plan, kSelinux, "SELinux label", process.selinux_label);
  plan.Add(Op::kBoundingSet, "set bounding set").a = masks.bounding;
  AddIds(plan, process.user);
  const bool keep_admin = seccomp != nullptr && !process.no_new_privileges;
  const uint64_t extra = keep_admin ? kSysAdmin : 0;
  AddCapset(plan, masks.effective | extra, masks.permitted | extra, masks.inheritable);
  plan.Add(Op::kAmbientSet, "set ambient capabilities").a = masks.ambient;
  if (process.no_new_privileges) plan.Add(Op::kNoNewPrivileges, "set no_new_privs");
  // Now, because whoever creates the container wants to hear of it, not whoever starts it; and before a filter forbids
  // the look.
  if (options.gate != nullptr) plan.Add(Op::kFindProgram, "find program");
  // A listener is wanted by whoever creates the container, so that filter is loaded before the start.
  const bool filter_first = seccomp != nullptr && seccomp->notifies;
  if (filter_first) AddSeccomp(plan, seccomp, options.listener);
  if (!options.second_stage) {
    AddStartGate(plan, options.gate);
    AddPreserved(plan, options);
  }
  if (!filter_first) AddSeccomp(plan, seccomp, kNoSlot);
  if (options.second_stage) {
    if (keep_admin) AddCapset(plan, masks.effective, masks.permitted, masks.inheritable);
    plan.Add(Op::kStage, "enter the PID namespace");
    AddControllingTerminal(plan, options.terminal);
    AddStartGate(plan, options.gate);
    AddPreserved(plan, options);
  }
  plan.Execute(Candidates(process), process.args, process.env, "exec " + process.args.front());
  return {};
}

}  // namespace fermata::runtime
