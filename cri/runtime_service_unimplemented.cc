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

}  // namespace

#define REFUSE_UNARY(name, request_type, response_type)                                                         \
  grpc::ServerUnaryReactor* RuntimeService::name(grpc::CallbackServerContext* context, const v1::request_type*, \
                                                 v1::response_type*) {                                          \
    return Refuse(#name, context);                                                                              \
  }
REFUSE_UNARY(CheckpointContainer, CheckpointContainerRequest, CheckpointContainerResponse)
REFUSE_UNARY(CheckpointPod, CheckpointPodRequest, CheckpointPodResponse)
REFUSE_UNARY(RestorePod, RestorePodRequest, RestorePodResponse)

}  // namespace fermata::cri
