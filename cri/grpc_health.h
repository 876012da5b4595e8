// The gRPC client of grpc probes. Keeps no state; any thread, and none waits.
#pragma once

#include "sandbox/probe/grpc_probe.h"

namespace fermata::cri {

// A probe::GrpcCheck: asks grpc.health.v1 over a connection that is there, in plain text.
void CheckGrpcHealth(UniqueFd connection, const std::string& service, std::chrono::steady_clock::time_point deadline,
                     sandbox::probe::ProbeDone done);

}  // namespace fermata::cri
