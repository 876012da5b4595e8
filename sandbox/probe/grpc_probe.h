// The grpc probe: a connection made here, over which a client that is injected asks grpc.health.v1. Any thread.
#pragma once

#include "sandbox/probe/network_probe.h"

namespace fermata::sandbox::probe {

// Asks the health service over `connection`; `done` exactly once, on any thread, soon after the deadline at the latest.
// kSuccess when it serves, else kFailure.
using GrpcCheck = std::function<void(UniqueFd connection, const std::string& service,
                                     std::chrono::steady_clock::time_point deadline, ProbeDone done)>;

void RunGrpcProbe(const NetworkRun& run, const GrpcAction& action, const GrpcCheck& check, ProbeDone done);

}  // namespace fermata::sandbox::probe
