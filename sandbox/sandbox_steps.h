// The host-side steps of a sandbox as one table with undo: Run applies it, Stop undoes what holds the pod
// alive, Remove the whole, and recovery whatever a crash left half made.
#pragma once

#include <span>

#include "sandbox/sandbox_manager.h"
#include "sandbox/steps.h"

namespace fermata::sandbox {

std::span<const Step<SandboxBuild>> SandboxSteps();
// The part that Stop undoes: from the monitor on.
std::span<const Step<SandboxBuild>> SandboxRunningSteps();

}  // namespace fermata::sandbox
