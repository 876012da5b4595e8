#include "cri/grpc_health.h"

#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "cri/api/health_v1.grpc.pb.h"

namespace fermata::cri {
namespace {

namespace health = ::grpc::health::v1;
using sandbox::probe::Outcome;
using sandbox::probe::ProbeResult;

// One call; deleted when it has ended.
struct Check {
  std::unique_ptr<health::Health::Stub> stub;
  grpc::ClientContext context;
  health::HealthCheckRequest request;
  health::HealthCheckResponse response;
  sandbox::probe::ProbeDone done;
};

ProbeResult ResultOf(const grpc::Status& status, const health::HealthCheckResponse& response) {
  if (!status.ok()) return {Outcome::kFailure, "health check: " + status.error_message()};
  if (response.status() == health::HealthCheckResponse::SERVING) return {Outcome::kSuccess, "service is serving"};
  return {Outcome::kFailure, "service is not serving, status: " + std::to_string(response.status())};
}

}  // namespace

void CheckGrpcHealth(UniqueFd connection, const std::string& service, std::chrono::steady_clock::time_point deadline,
                     sandbox::probe::ProbeDone done) {
  (void)::fcntl(connection.get(), F_SETFL, ::fcntl(connection.get(), F_GETFL) | O_NONBLOCK);
  grpc::ChannelArguments arguments;
  arguments.SetUserAgentPrefix("kube-probe/1.36");
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  const auto channel = grpc::CreateCustomInsecureChannelFromFd("localhost", connection.Release(), arguments);
  auto check = std::make_shared<Check>();
  check->stub = health::Health::NewStub(channel);
  check->request.set_service(service);
  check->done = std::move(done);
  const auto left = std::max(deadline - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration::zero());
  check->context.set_deadline(std::chrono::system_clock::now() + left);
  check->stub->async()->Check(&check->context, &check->request, &check->response,
                              [check](const grpc::Status& status) { check->done(ResultOf(status, check->response)); });
}

}  // namespace fermata::cri
