// Pod sandboxes.
#include <google/protobuf/util/json_util.h>

#include "cri/convert.h"
#include "cri/list_stream.h"
#include "cri/runtime_service.h"
#include "cri/server.h"
#include "runtime/base/json.h"
#include "sandbox/resource_update.h"

namespace fermata::cri {
namespace {

// In the words of the CRI, and only what was asked for.
Json ResourcesJson(const cgroups::Resources& resources) {
  std::string text;
  const auto done = google::protobuf::util::MessageToJsonString(ToProto(resources), &text);
  return done.ok() ? Json::parse(text, nullptr, false) : Json();
}

std::string VerboseInfo(const sandbox::SandboxRecord& record) {
  return Json({{"pid", record.pause_pid},
               {"image", ""},
               {"runtimeType", "fermata"},
               {"cgroup", record.group},
               {"overhead", ResourcesJson(record.spec.overhead)},
               {"resources", ResourcesJson(record.spec.resources)},
               {"sandboxMetadata", {{"createdAt", record.created_at_ns}, {"bootId", record.boot_id}}}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

grpc::ServerUnaryReactor* RuntimeService::RunPodSandbox(grpc::CallbackServerContext* context,
                                                        const v1::RunPodSandboxRequest* request,
                                                        v1::RunPodSandboxResponse* response) {
  return Serve("RunPodSandbox", context, engine_.tasks, [=, this]() -> Result<> {
    if (!request->runtime_handler().empty()) {
      return Error::Make(ErrorCode::kInvalidArgument, "runtime handler ", request->runtime_handler(),
                         " is not configured");
    }
    ASSIGN_OR_RETURN(const sandbox::SandboxSpec spec, FromProto(request->config(), request->runtime_handler()));
    ASSIGN_OR_RETURN(const sandbox::SandboxId id, sandboxes_.Run(spec, [context] { return context->IsCancelled(); }));
    response->set_pod_sandbox_id(id.str());
    return {};
  });
}

grpc::ServerUnaryReactor* RuntimeService::StopPodSandbox(grpc::CallbackServerContext* context,
                                                         const v1::StopPodSandboxRequest* request,
                                                         v1::StopPodSandboxResponse*) {
  return Serve("StopPodSandbox", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::SandboxPtr found, FindSandbox(*engine_.store, request->pod_sandbox_id(), visible_));
    return found == nullptr ? Result<>() : sandboxes_.Stop(found->id);
  });
}

grpc::ServerUnaryReactor* RuntimeService::RemovePodSandbox(grpc::CallbackServerContext* context,
                                                           const v1::RemovePodSandboxRequest* request,
                                                           v1::RemovePodSandboxResponse*) {
  return Serve("RemovePodSandbox", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::SandboxPtr found, FindSandbox(*engine_.store, request->pod_sandbox_id(), visible_));
    return found == nullptr ? Result<>() : sandboxes_.Remove(found->id);
  });
}

grpc::ServerUnaryReactor* RuntimeService::UpdatePodSandboxResources(grpc::CallbackServerContext* context,
                                                                    const v1::UpdatePodSandboxResourcesRequest* request,
                                                                    v1::UpdatePodSandboxResourcesResponse*) {
  return Serve("UpdatePodSandboxResources", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::SandboxPtr found, GetSandbox(*engine_.store, request->pod_sandbox_id(), visible_));
    ASSIGN_OR_RETURN(const cgroups::Resources overhead, FromProto(request->overhead()), "overhead");
    ASSIGN_OR_RETURN(const cgroups::Resources resources, FromProto(request->resources()), "resources");
    return sandbox::UpdateSandbox(engine_, found->id, overhead, resources);
  });
}

grpc::ServerUnaryReactor* RuntimeService::PodSandboxStatus(grpc::CallbackServerContext* context,
                                                           const v1::PodSandboxStatusRequest* request,
                                                           v1::PodSandboxStatusResponse* response) {
  return ServeNow("PodSandboxStatus", context, [&]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::SandboxPtr record, GetSandbox(*engine_.store, request->pod_sandbox_id(), visible_));
    *response->mutable_status() = ToPodSandboxStatus(*record);
    for (const sandbox::ContainerPtr& container : engine_.store->ContainersOf(record->id)) {
      *response->add_containers_statuses() = ToContainerStatus(*container);
    }
    response->set_timestamp(sandbox::NowNs());
    if (request->verbose()) (*response->mutable_info())["info"] = VerboseInfo(*record);
    return {};
  });
}

std::vector<v1::PodSandbox> RuntimeService::SelectSandboxes(const v1::PodSandboxFilter& filter) const {
  std::vector<v1::PodSandbox> selected;
  for (const sandbox::SandboxPtr& record : engine_.store->Sandboxes()) {
    if (visible_.Shows(record->spec.owner) && Matches(filter, *record)) selected.push_back(ToPodSandbox(*record));
  }
  return selected;
}

grpc::ServerUnaryReactor* RuntimeService::ListPodSandbox(grpc::CallbackServerContext* context,
                                                         const v1::ListPodSandboxRequest* request,
                                                         v1::ListPodSandboxResponse* response) {
  return ServeNow("ListPodSandbox", context, [&]() -> Result<> {
    for (v1::PodSandbox& item : SelectSandboxes(request->filter())) *response->add_items() = std::move(item);
    return {};
  });
}

grpc::ServerWriteReactor<v1::StreamPodSandboxesResponse>* RuntimeService::StreamPodSandboxes(
    grpc::CallbackServerContext*, const v1::StreamPodSandboxesRequest* request) {
  return new ListStream("StreamPodSandboxes", engine_.tasks, [this, filter = request->filter()] {
    return InChunks(SelectSandboxes(filter), &v1::StreamPodSandboxesResponse::mutable_pod_sandboxes);
  });
}

}  // namespace fermata::cri
