#include "cri/system_service.h"

#include <sys/utsname.h>
#include <unistd.h>

#include "cri/pod_messages.h"
#include "cri/server.h"
#include "cri/version.h"

namespace fermata::cri {

grpc::ServerUnaryReactor* SystemService::Info(grpc::CallbackServerContext* context, const fv1::InfoRequest*,
                                              fv1::InfoResponse* response) {
  return ServeNow("System.Info", context, [&]() -> Result<> {
    const PodsService::Client present(presence_);
    response->set_version(kRuntimeVersion);
    response->set_pid(::getpid());
    response->set_data_dir(config_.data_dir);
    response->set_run_dir(config_.run_dir);
    response->set_socket(config_.SocketPath());
    response->set_cgroup_driver("cgroupfs");
    response->set_cgroup_root(engine_.cgroup_mount.Path() + "/" + engine_.config.cgroup_root);
    if (auto controllers = engine_.cgroup_mount.Controllers()) {
      for (const std::string& name : *controllers) response->add_controllers(name);
    }
    const sandbox::NetworkStatus network = engine_.network.Status();
    response->set_network_ready(network.ready);
    response->set_network_reason(network.ready ? "" : network.reason + ": " + network.message);
    response->set_pods(static_cast<uint32_t>(engine_.store->Sandboxes().size()));
    response->set_containers(static_cast<uint32_t>(engine_.store->Containers().size()));
    response->set_images(static_cast<uint32_t>(engine_.images->List().size()));
    if (const auto* manifests = presence_.manifests()) {
      response->set_pods_dir(manifests->directory());
      for (const auto& file : manifests->Files()) FillFile(file, *response->add_pods_files());
    }
    utsname host{};
    if (::uname(&host) == 0) response->set_kernel(host.release);
    return {};
  });
}

}  // namespace fermata::cri
