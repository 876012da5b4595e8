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

void AddSeccomp(PlanBuilder& plan, const SeccompFilter& filter) {
  PlanStep& step = plan.Add(Op::kSeccomp, "load seccomp filter");
  step.text = plan.Array(filter->instructions.data(), filter->instructions.size() * sizeof(sock_filter));
  step.a = filter->instructions.size();
  step.b = filter->flags;
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

Result<> AddEarlySteps(PlanBuilder& plan, const Process& process) {
  RETURN_IF_ERROR(CheckProgram(process));
  plan.Add(Op::kSetsid, "start session");
  plan.Add(Op::kNewKeyring, "start session keyring").flags = kPermissionOk;
  PlanStep& oom = plan.Add(Op::kOomScoreAdj, "set oom_score_adj");
  oom.text = plan.Text(std::to_string(process.oom_score_adj.value_or(0)));
  oom.flags = kPermissionOk;  // lowering needs CAP_SYS_RESOURCE; as far as permitted
  RETURN_IF_ERROR(AddRlimits(plan, process.rlimits));
  return AddScheduling(plan, process);
}

Result<> AddIdentitySteps(PlanBuilder& plan, const Process& process, const SeccompFilter& seccomp, bool two_stages) {
  ASSIGN_OR_RETURN(const CapabilityMasks masks, Masks(process.capabilities));
  PlanStep& owner = plan.Add(Op::kStdioOwner, "give standard streams to the user");
  owner.a = process.user.uid;
  owner.b = process.user.gid;
  AddLabel(plan, kAppArmor, "AppArmor profile", process.apparmor_profile);
  AddLabel(plan, kSelinux, "SELinux label", process.selinux_label);
  plan.Add(Op::kBoundingSet, "set bounding set").a = masks.bounding;
  AddIds(plan, process.user);
  const bool keep_admin = seccomp != nullptr && !process.no_new_privileges;
  const uint64_t extra = keep_admin ? kSysAdmin : 0;
  AddCapset(plan, masks.effective | extra, masks.permitted | extra, masks.inheritable);
  plan.Add(Op::kAmbientSet, "set ambient capabilities").a = masks.ambient;
  if (process.no_new_privileges) plan.Add(Op::kNoNewPrivileges, "set no_new_privs");
  if (seccomp != nullptr) AddSeccomp(plan, seccomp);
  if (two_stages) {
    if (keep_admin) AddCapset(plan, masks.effective, masks.permitted, masks.inheritable);
    plan.Add(Op::kStage, "enter the PID namespace");
  }
  plan.Execute(Candidates(process), process.args, process.env, "exec " + process.args.front());
  return {};
}

}  // namespace fermata::runtime
