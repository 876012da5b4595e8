// Renders who a process is (ids, capabilities, limits, seccomp) and what it executes into plan steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/launch/container_plan.h"

namespace fermata::runtime {

// Bit mask of capability names; kInvalidArgument names the one that is unknown.
Result<uint64_t> CapabilityMask(const std::vector<std::string>& names);

// Limits, oom score, session: while the process still has the host's rights and sees the host's /proc.
Result<> AddEarlySteps(PlanBuilder& plan, const Process& process);

// Groups, ids, capabilities, seccomp, the second stage if wanted, and the program.
// The filter comes last; without no_new_privs it needs CAP_SYS_ADMIN, which execve takes away again.
Result<> AddIdentitySteps(PlanBuilder& plan, const Process& process, const SeccompFilter& seccomp, bool two_stages);

}  // namespace fermata::runtime
