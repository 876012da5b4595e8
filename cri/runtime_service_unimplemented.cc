// Registered and honest: UNIMPLEMENTED with the call's name, so that clients fall back where they can.
#include "cri/runtime_service.h"
#include "cri/server.h"

namespace fermata::cri {
namespace {

grpc::ServerUnaryReactor* Refuse(const char* name, grpc::CallbackServerContext* context) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(Unimplemented(name));
  return reactor;
}

template <typename Message>
class RefusedStream : public grpc::ServerWriteReactor<Message> {
 public:
  explicit RefusedStream(const char* name) { this->Finish(Unimplemented(name)); }
  void OnDone() override { delete this; }
};

}  // namespace

#define REFUSE_UNARY(name, request_type, response_type)                                                         \
  grpc::ServerUnaryReactor* RuntimeService::name(grpc::CallbackServerContext* context, const v1::request_type*, \
                                                 v1::response_type*) {                                          \
    return Refuse(#name, context);                                                                              \
  }
#define REFUSE_STREAM(name, request_type, response_type)                                          \
  grpc::ServerWriteReactor<v1::response_type>* RuntimeService::name(grpc::CallbackServerContext*, \
                                                                    const v1::request_type*) {    \
    return new RefusedStream<v1::response_type>(#name);                                           \
  }

REFUSE_STREAM(StreamPodSandboxes, StreamPodSandboxesRequest, StreamPodSandboxesResponse)
REFUSE_STREAM(StreamContainers, StreamContainersRequest, StreamContainersResponse)
REFUSE_UNARY(ContainerStats, ContainerStatsRequest, ContainerStatsResponse)
REFUSE_UNARY(ListContainerStats, ListContainerStatsRequest, ListContainerStatsResponse)
REFUSE_STREAM(StreamContainerStats, StreamContainerStatsRequest, StreamContainerStatsResponse)
REFUSE_UNARY(PodSandboxStats, PodSandboxStatsRequest, PodSandboxStatsResponse)
REFUSE_UNARY(ListPodSandboxStats, ListPodSandboxStatsRequest, ListPodSandboxStatsResponse)
REFUSE_STREAM(StreamPodSandboxStats, StreamPodSandboxStatsRequest, StreamPodSandboxStatsResponse)
REFUSE_UNARY(CheckpointContainer, CheckpointContainerRequest, CheckpointContainerResponse)
REFUSE_UNARY(CheckpointPod, CheckpointPodRequest, CheckpointPodResponse)
REFUSE_UNARY(RestorePod, RestorePodRequest, RestorePodResponse)
REFUSE_STREAM(GetContainerEvents, GetEventsRequest, ContainerEventResponse)
REFUSE_UNARY(ListMetricDescriptors, ListMetricDescriptorsRequest, ListMetricDescriptorsResponse)
REFUSE_UNARY(ListPodSandboxMetrics, ListPodSandboxMetricsRequest, ListPodSandboxMetricsResponse)
REFUSE_STREAM(StreamPodSandboxMetrics, StreamPodSandboxMetricsRequest, StreamPodSandboxMetricsResponse)

}  // namespace fermata::cri
