// Version, Status, RuntimeConfig, UpdateRuntimeConfig.
#include <algorithm>

#include "cri/runtime_service.h"
#include "cri/server.h"
#include "cri/version.h"
#include "runtime/base/json.h"

namespace fermata::cri {
namespace {

void AddCondition(v1::RuntimeStatus& status, const char* type, bool ready, const std::string& reason,
                  const std::string& message) {
  v1::RuntimeCondition& condition = *status.add_conditions();
  condition.set_type(type);
  condition.set_status(ready);
  condition.set_reason(reason);
  condition.set_message(message);
}

// Without it, what a pod uses is an estimate (cgroups/stats.h), and who asks shall know.
bool HasMemoryController(const sandbox::Engine& engine) {
  const auto controllers = engine.cgroup_mount.Controllers();
  return controllers && std::find(controllers->begin(), controllers->end(), "memory") != controllers->end();
}

}  // namespace

grpc::ServerUnaryReactor* RuntimeService::Version(grpc::CallbackServerContext* context, const v1::VersionRequest*,
                                                  v1::VersionResponse* response) {
  return ServeNow("Version", context, [&]() -> Result<> {
    response->set_version("0.1.0");  // of the kubelet's runtime API; fixed
    response->set_runtime_name(kRuntimeName);
    response->set_runtime_version(kRuntimeVersion);
    response->set_runtime_api_version("v1");
    return {};
  });
}

grpc::ServerUnaryReactor* RuntimeService::Status(grpc::CallbackServerContext* context, const v1::StatusRequest* request,
                                                 v1::StatusResponse* response) {
  return ServeNow("Status", context, [&]() -> Result<> {
    const sandbox::NetworkStatus network = engine_.network.Status();
    AddCondition(*response->mutable_status(), "RuntimeReady", true, "", "");
    AddCondition(*response->mutable_status(), "NetworkReady", network.ready, network.reason, network.message);
    v1::RuntimeHandler& handler = *response->add_runtime_handlers();  // the default one: no name
    handler.mutable_features()->set_recursive_read_only_mounts(true);
    handler.mutable_features()->set_user_namespaces(true);
    response->mutable_features()->set_supplemental_groups_policy(true);
    response->mutable_features()->set_mount_options(true);
    if (!request->verbose()) return {};
    const Json config = {{"stateDir", config_.run_dir},
                         {"rootDir", config_.data_dir},
                         {"cgroupRoot", engine_.config.cgroup_root},
                         {"cgroupDriver", "cgroupfs"},
                         {"memoryStats", HasMemoryController(engine_) ? "controller" : "sum of resident sets"}};
    (*response->mutable_info())["config"] = config.dump();
    return {};
  });
}

grpc::ServerUnaryReactor* RuntimeService::RuntimeConfig(grpc::CallbackServerContext* context,
                                                        const v1::RuntimeConfigRequest*,
                                                        v1::RuntimeConfigResponse* response) {
  return ServeNow("RuntimeConfig", context, [&]() -> Result<> {
    response->mutable_linux()->set_cgroup_driver(v1::CGROUPFS);
    return {};
  });
}

grpc::ServerUnaryReactor* RuntimeService::UpdateRuntimeConfig(grpc::CallbackServerContext* context,
                                                              const v1::UpdateRuntimeConfigRequest* request,
                                                              v1::UpdateRuntimeConfigResponse*) {
  return Serve("UpdateRuntimeConfig", context, engine_.tasks,
               [=, this] { return engine_.network.SetPodCidr(request->runtime_config().network_config().pod_cidr()); });
}

}  // namespace fermata::cri
