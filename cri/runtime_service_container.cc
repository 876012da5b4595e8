// Containers.
#include "cri/convert.h"
#include "cri/list_stream.h"
#include "cri/runtime_service.h"
#include "cri/server.h"
#include "runtime/base/json.h"
#include "runtime/spec/spec_json.h"
#include "sandbox/resource_update.h"

namespace fermata::cri {
namespace {

std::string VerboseInfo(const sandbox::ContainerRecord& record) {
  return Json({{"sandboxID", record.sandbox.str()},
               {"pid", record.pid},
               {"removing", false},
               {"snapshotKey", record.id.str()},
               {"snapshotter", "overlay"},
               {"runtimeType", "fermata"},
               {"cgroup", record.group},
               {"runtimeSpec", runtime::SpecToJsonValue(record.launch)}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

grpc::ServerUnaryReactor* RuntimeService::CreateContainer(grpc::CallbackServerContext* context,
                                                          const v1::CreateContainerRequest* request,
                                                          v1::CreateContainerResponse* response) {
  return Serve("CreateContainer", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::SandboxPtr pod, GetSandbox(*engine_.store, request->pod_sandbox_id(), visible_));
    ASSIGN_OR_RETURN(const sandbox::ContainerSpec spec, FromProto(request->config(), pod->spec));
    ASSIGN_OR_RETURN(const sandbox::ContainerId id,
                     containers_.Create(pod->id, spec, [context] { return context->IsCancelled(); }));
    response->set_container_id(id.str());
    return {};
  });
}

grpc::ServerUnaryReactor* RuntimeService::StartContainer(grpc::CallbackServerContext* context,
                                                         const v1::StartContainerRequest* request,
                                                         v1::StartContainerResponse*) {
  return Serve("StartContainer", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr found,
                     GetContainer(*engine_.store, request->container_id(), visible_));
    return containers_.Start(found->id);
  });
}

grpc::ServerUnaryReactor* RuntimeService::StopContainer(grpc::CallbackServerContext* context,
                                                        const v1::StopContainerRequest* request,
                                                        v1::StopContainerResponse*) {
  return Serve("StopContainer", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr found,
                     FindContainer(*engine_.store, request->container_id(), visible_));
    if (found == nullptr) return {};
    // A wait of more than a year is no wait that anybody means; it would overflow the clock.
    constexpr int64_t kLongest = 366LL * 24 * 3600;
    return containers_.Stop(found->id, std::chrono::seconds(std::min(request->timeout(), kLongest)));
  });
}

grpc::ServerUnaryReactor* RuntimeService::RemoveContainer(grpc::CallbackServerContext* context,
                                                          const v1::RemoveContainerRequest* request,
                                                          v1::RemoveContainerResponse*) {
  return Serve("RemoveContainer", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr found,
                     FindContainer(*engine_.store, request->container_id(), visible_));
    return found == nullptr ? Result<>() : containers_.Remove(found->id);
  });
}

// Annotations of an update are for runtimes that understand theirs; ours has none.
grpc::ServerUnaryReactor* RuntimeService::UpdateContainerResources(grpc::CallbackServerContext* context,
                                                                   const v1::UpdateContainerResourcesRequest* request,
                                                                   v1::UpdateContainerResourcesResponse*) {
  return Serve("UpdateContainerResources", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr found,
                     GetContainer(*engine_.store, request->container_id(), visible_));
    if (request->has_windows()) {
      return Error::Make(ErrorCode::kInvalidArgument, "windows: this runtime runs Linux containers only");
    }
    sandbox::ResourceChange change;
    ASSIGN_OR_RETURN(change.limits, FromProto(request->linux()), "linux");
    ASSIGN_OR_RETURN(change.oom_score_adj, OomScoreAdj(request->linux()), "linux");
    return sandbox::UpdateContainer(engine_, found->id, change);
  });
}

grpc::ServerUnaryReactor* RuntimeService::ContainerStatus(grpc::CallbackServerContext* context,
                                                          const v1::ContainerStatusRequest* request,
                                                          v1::ContainerStatusResponse* response) {
  return ServeNow("ContainerStatus", context, [&]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr record,
                     GetContainer(*engine_.store, request->container_id(), visible_));
    *response->mutable_status() = ToContainerStatus(*record);
    if (request->verbose()) (*response->mutable_info())["info"] = VerboseInfo(*record);
    return {};
  });
}

std::vector<v1::Container> RuntimeService::SelectContainers(const v1::ContainerFilter& filter) const {
  std::vector<v1::Container> selected;
  for (const sandbox::ContainerPtr& record : engine_.store->Containers()) {
    if (Matches(filter, *record) && Shows(*engine_.store, *record, visible_)) selected.push_back(ToContainer(*record));
  }
  return selected;
}

grpc::ServerUnaryReactor* RuntimeService::ListContainers(grpc::CallbackServerContext* context,
                                                         const v1::ListContainersRequest* request,
                                                         v1::ListContainersResponse* response) {
  return ServeNow("ListContainers", context, [&]() -> Result<> {
    for (v1::Container& item : SelectContainers(request->filter())) *response->add_containers() = std::move(item);
    return {};
  });
}

grpc::ServerWriteReactor<v1::StreamContainersResponse>* RuntimeService::StreamContainers(
    grpc::CallbackServerContext*, const v1::StreamContainersRequest* request) {
  return new ListStream("StreamContainers", engine_.tasks, [this, filter = request->filter()] {
    return InChunks(SelectContainers(filter), &v1::StreamContainersResponse::mutable_containers);
  });
}

grpc::ServerUnaryReactor* RuntimeService::ReopenContainerLog(grpc::CallbackServerContext* context,
                                                             const v1::ReopenContainerLogRequest* request,
                                                             v1::ReopenContainerLogResponse*) {
  return Serve("ReopenContainerLog", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr found,
                     GetContainer(*engine_.store, request->container_id(), visible_));
    return containers_.ReopenLog(found->id);
  });
}

grpc::ServerUnaryReactor* RuntimeService::ExecSync(grpc::CallbackServerContext* context,
                                                   const v1::ExecSyncRequest* request, v1::ExecSyncResponse* response) {
  return Serve("ExecSync", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr found,
                     GetContainer(*engine_.store, request->container_id(), visible_));
    if (request->timeout() < 0) return Error::Make(ErrorCode::kInvalidArgument, "timeout is negative");
    constexpr int64_t kLongest = 366LL * 24 * 3600;
    const std::chrono::seconds timeout(std::min(request->timeout(), kLongest));
    ASSIGN_OR_RETURN(runtime::ExecResult result,
                     containers_.ExecSync(found->id, {request->cmd().begin(), request->cmd().end()}, timeout));
    response->set_stdout(std::move(result.output[0]));
    response->set_stderr(std::move(result.output[1]));
    response->set_exit_code(result.exit_code);
    return {};
  });
}

}  // namespace fermata::cri
