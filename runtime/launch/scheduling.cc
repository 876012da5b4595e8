#include "runtime/launch/scheduling.h"

#include <sys/personality.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace fermata::runtime {
namespace {

constexpr uint32_t kMaxCpus = 8192;  // what any kernel is built for (CONFIG_NR_CPUS)

struct Word {
  std::string_view name;
  uint32_t value;
};
// <linux/sched.h>
constexpr std::array kPolicies = {Word{"SCHED_OTHER", 0},   Word{"SCHED_FIFO", 1}, Word{"SCHED_RR", 2},
                                  Word{"SCHED_BATCH", 3},   Word{"SCHED_ISO", 4},  Word{"SCHED_IDLE", 5},
                                  Word{"SCHED_DEADLINE", 6}};
constexpr std::array kSchedulerFlags = {Word{"SCHED_FLAG_RESET_ON_FORK", 0x01}, Word{"SCHED_FLAG_RECLAIM", 0x02},
                                        Word{"SCHED_FLAG_DL_OVERRUN", 0x04},    Word{"SCHED_FLAG_KEEP_POLICY", 0x08},
                                        Word{"SCHED_FLAG_KEEP_PARAMS", 0x10},   Word{"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
                                        Word{"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};
// <linux/ioprio.h>: the class stands in the bits from 13 on.
constexpr std::array kIoClasses = {Word{"IOPRIO_CLASS_RT", 1}, Word{"IOPRIO_CLASS_BE", 2},
                                   Word{"IOPRIO_CLASS_IDLE", 3}};
constexpr uint32_t kIoClassShift = 13;
// <linux/mempolicy.h>
constexpr std::array kMemoryModes = {Word{"MPOL_DEFAULT", 0},
                                     Word{"MPOL_PREFERRED", 1},
                                     Word{"MPOL_BIND", 2},
                                     Word{"MPOL_INTERLEAVE", 3},
                                     Word{"MPOL_LOCAL", 4},
                                     Word{"MPOL_PREFERRED_MANY", 5},
                                     Word{"MPOL_WEIGHTED_INTERLEAVE", 6}};
constexpr std::array kMemoryFlags = {Word{"MPOL_F_NUMA_BALANCING", 1U << 13}, Word{"MPOL_F_RELATIVE_NODES", 1U << 14},
                                     Word{"MPOL_F_STATIC_NODES", 1U << 15}};
constexpr std::array kPersonalities = {Word{"LINUX", PER_LINUX}, Word{"LINUX32", PER_LINUX32}};

template <size_t kCount>
Result<uint32_t> ValueOf(const std::array<Word, kCount>& words, std::string_view name, std::string_view what) {
  const auto* found = std::ranges::find(words, name, &Word::name);
  if (found != words.end()) return found->value;
  return Error::Make(ErrorCode::kInvalidArgument, "unknown ", what, " ", name);
}

Result<> AddScheduler(PlanBuilder& plan, const Scheduler& scheduler) {
  SchedulerAttributes attributes;
  ASSIGN_OR_RETURN(attributes.policy, ValueOf(kPolicies, scheduler.policy, "scheduling policy"));
  for (const std::string& flag : scheduler.flags) {
    ASSIGN_OR_RETURN(const uint32_t bit, ValueOf(kSchedulerFlags, flag, "scheduling flag"));
    attributes.flags |= bit;
  }
  attributes.nice = scheduler.nice;
  attributes.priority = static_cast<uint32_t>(scheduler.priority);
  attributes.runtime = scheduler.runtime;
  attributes.deadline = scheduler.deadline;
  attributes.period = scheduler.period;
  if (scheduler.nice < -20 || scheduler.nice > 19) {
    return Error::Make(ErrorCode::kInvalidArgument, "scheduler: nice must be between -20 and 19");
  }
  PlanStep& step = plan.Add(Op::kScheduler, "set scheduling policy " + scheduler.policy);
  step.text = plan.Array(&attributes, sizeof attributes);
  return {};
}

Result<> AddIoPriority(PlanBuilder& plan, const IoPriority& wanted) {
  ASSIGN_OR_RETURN(const uint32_t io_class, ValueOf(kIoClasses, wanted.io_class, "I/O priority class"));
  if (wanted.priority < 0 || wanted.priority > 7) {
    return Error::Make(ErrorCode::kInvalidArgument, "ioPriority: priority must be between 0 and 7");
  }
  PlanStep& step = plan.Add(Op::kIoPriority, "set I/O priority " + wanted.io_class);
  step.a = io_class << kIoClassShift | static_cast<uint32_t>(wanted.priority);
  return {};
}

// The number that `text` begins with; taken off it.
Result<uint32_t> TakeCpu(std::string_view& text) {
  uint32_t cpu = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cpu);
  if (error != std::errc() || cpu >= kMaxCpus) {
    return Error::Make(ErrorCode::kInvalidArgument, "a CPU is a number below ", std::to_string(kMaxCpus));
  }
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return cpu;
}

}  // namespace

Result<std::vector<uint64_t>> ParseCpuList(std::string_view text) {
  std::vector<uint64_t> mask;
  const std::string whole(text);
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(const uint32_t first, TakeCpu(text), "CPU list \"", whole, "\"");
    uint32_t last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      ASSIGN_OR_RETURN(last, TakeCpu(text), "CPU list \"", whole, "\"");
    }
    more = text.starts_with(',');
    if (more) text.remove_prefix(1);
    if (last < first || (!more && !text.empty())) {
      return Error::Make(ErrorCode::kInvalidArgument, "CPU list \"", whole, "\" is not like 0-3,7");
    }
    mask.resize(std::max<size_t>(mask.size(), last / 64 + 1));
    for (uint32_t cpu = first; cpu <= last; ++cpu) mask[cpu / 64] |= uint64_t{1} << cpu % 64;
  }
  return mask;
}

Result<> AddScheduling(PlanBuilder& plan, const Process& process) {
  if (process.scheduler) RETURN_IF_ERROR(AddScheduler(plan, *process.scheduler));
  if (process.io_priority) RETURN_IF_ERROR(AddIoPriority(plan, *process.io_priority));
  return {};
}

Result<> AddCpuAffinity(PlanBuilder& plan, std::string_view cpus) {
  if (cpus.empty()) return {};
  ASSIGN_OR_RETURN(const std::vector<uint64_t> mask, ParseCpuList(cpus));
  PlanStep& step = plan.Add(Op::kCpuAffinity, "set CPU affinity " + std::string(cpus));
  step.text = plan.Array(mask.data(), mask.size() * sizeof(uint64_t));
  step.a = mask.size();
  return {};
}

Result<> AddMemoryPolicy(PlanBuilder& plan, const std::optional<MemoryPolicy>& policy) {
  if (!policy) return {};
  ASSIGN_OR_RETURN(uint32_t mode, ValueOf(kMemoryModes, policy->mode, "memory policy"));
  for (const std::string& flag : policy->flags) {
    ASSIGN_OR_RETURN(const uint32_t bit, ValueOf(kMemoryFlags, flag, "memory policy flag"));
    mode |= bit;
  }
  std::vector<uint64_t> nodes;
  if (!policy->nodes.empty()) {
    ASSIGN_OR_RETURN(nodes, ParseCpuList(policy->nodes), "memoryPolicy.nodes");
  }
  const uint32_t position = plan.Array(nodes.data(), nodes.size() * sizeof(uint64_t));
  PlanStep& step = plan.Add(Op::kMemoryPolicy, "set memory policy " + policy->mode);
  step.a = mode;
  step.text = position;
  step.b = nodes.size();
  return {};
}

Result<> AddPersonality(PlanBuilder& plan, const std::optional<Personality>& personality) {
  if (!personality) return {};
  ASSIGN_OR_RETURN(const uint32_t domain, ValueOf(kPersonalities, personality->domain, "personality"));
  plan.Add(Op::kPersonality, "set personality " + personality->domain).a = domain;
  return {};
}

}  // namespace fermata::runtime
