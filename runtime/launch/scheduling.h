// How a process is scheduled: policy, I/O priority, CPU affinity, and its personality. Rendered into plan steps.
// Source: runtime-spec config.md "process" and config-linux.md "personality"; sched_setattr(2), ioprio_set(2),
// sched_setaffinity(2), set_mempolicy(2), personality(2).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/launch/launch_plan.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime {

// "0-3,7" as a bit mask, for sched_setaffinity(2). kInvalidArgument for anything else, and for an empty list.
Result<std::vector<uint64_t>> ParseCpuList(std::string_view text);

// Before the process gives up the host's rights, which some policies need.
Result<> AddScheduling(PlanBuilder& plan, const Process& process);
// The set of CPUs that the steps after this one, and the program, run on. Nothing for an empty list.
Result<> AddCpuAffinity(PlanBuilder& plan, std::string_view cpus);
Result<> AddMemoryPolicy(PlanBuilder& plan, const std::optional<MemoryPolicy>& policy);
Result<> AddPersonality(PlanBuilder& plan, const std::optional<Personality>& personality);

}  // namespace fermata::runtime
