#include "sandbox/probe/grpc_probe.h"

#include "sandbox/probe/tcp_probe.h"

namespace fermata::sandbox::probe {

void RunGrpcProbe(const NetworkRun& run, const GrpcAction& action, const GrpcCheck& check, ProbeDone done) {
  Dial(run, action.port,
       [check, service = action.service, deadline = run.deadline, done = std::move(done)](Result<UniqueFd> connection) {
         if (!connection) return done({Outcome::kFailure, connection.error().message()});
         if (!check) return done({Outcome::kError, "there is no gRPC client"});
         check(std::move(*connection), service, deadline, done);
       });
}

}  // namespace fermata::sandbox::probe
