// The exec probe and hook: a program in the container, by the path that the CRI's ExecSync takes; at the deadline
// everything of it is killed. `done` comes on a thread of the engine's pool, which waits for the program.
#pragma once

#include "sandbox/container_manager.h"
#include "sandbox/probe/prober.h"

namespace fermata::sandbox::probe {

void RunExecProbe(Engine& engine, ContainerManager& containers, const ContainerId& id, const ExecAction& action,
                  std::chrono::milliseconds timeout, ProbeDone done);

// What an end of the program means.
ProbeResult JudgeExec(const Result<runtime::ExecResult>& ended, std::chrono::milliseconds timeout);

}  // namespace fermata::sandbox::probe
