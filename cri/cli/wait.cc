#include "cri/cli/wait.h"

#include <algorithm>
#include <chrono>
#include <iostream>

#include "cri/cli/output.h"

namespace fermata::cri::cli {
namespace {

bool IsOver(const fv1::PodStatus& pod) { return pod.phase() == "Succeeded" || pod.phase() == "Failed"; }

bool IsReady(const fv1::PodStatus& pod) {
  return std::ranges::any_of(pod.conditions(), [](const fv1::PodCondition& condition) {
    return condition.type() == "Ready" && condition.status();
  });
}

// The exit code of the first container that failed.
int CodeOf(const fv1::PodStatus& pod) {
  for (const auto* list : {&pod.init_containers(), &pod.containers()}) {
    for (const fv1::ContainerStatus& container : *list) {
      if (!container.sidecar() && container.exit_code() != 0) return container.exit_code();
    }
  }
  return pod.phase() == "Failed" ? 1 : 0;
}

Result<fv1::PodStatus> WaitForOne(const Client& client, const fv1::PodStatus& pod, bool ready,
                                  std::chrono::system_clock::time_point deadline) {
  grpc::ClientContext context;
  context.set_deadline(deadline);
  fv1::WatchPodRequest request;
  request.set_pod(pod.id());
  const auto reader = client.pods->Watch(&context, request);
  fv1::PodStatus status;
  while (reader->Read(&status)) {
    if (IsOver(status) || (ready && IsReady(status))) return status;
  }
  const grpc::Status ended = reader->Finish();
  const std::string name = Printable(pod.name());
  if (ended.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return Error::Make(ErrorCode::kDeadlineExceeded, "pod ", name, ready ? " is not ready" : " has not ended",
                       " after the time of --timeout, and runs on; see: fermata describe ", name);
  }
  RETURN_IF_ERROR(ToResult(ended));
  return Error::Make(ErrorCode::kNotFound, "pod ", name, " was removed meanwhile");
}

}  // namespace

Result<int> WaitForPods(const Client& client, const fv1::ApplyResponse& applied, const RunOptions& options) {
  if (options.wait.empty()) return 0;
  using Clock = std::chrono::system_clock;
  const auto deadline = options.timeout_seconds > 0 ? Clock::now() + std::chrono::seconds(options.timeout_seconds)
                                                    : Clock::time_point::max();
  const bool ready = options.wait == "ready";
  int code = 0;
  for (const fv1::PodStatus& pod : applied.pods()) {
    ASSIGN_OR_RETURN(const fv1::PodStatus status, WaitForOne(client, pod, ready, deadline));
    if (ready && !IsReady(status)) {
      const std::string name = Printable(pod.name());
      return Error::Make(ErrorCode::kFailedPrecondition, "pod ", name, " has ended (", status.phase(),
                         ") and was to be ready; see: fermata logs ", name);
    }
    if (!ready && code == 0) code = CodeOf(status);
  }
  return code;
}

}  // namespace fermata::cri::cli
