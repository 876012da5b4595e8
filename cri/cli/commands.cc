#include "cri/cli/commands.h"

#include <fmt/format.h>

#include <iostream>

#include "cri/cli/client.h"
#include "cri/cli/output.h"
#include "cri/version.h"

namespace fermata::cri::cli {
namespace {

constexpr size_t kShortId = 12;

std::string StateWithCode(const fv1::ContainerStatus& container) {
  if (container.state() != "Exited" && container.state() != "CrashLoopBackOff") return container.state();
  return fmt::format("{} ({})", container.state(), container.exit_code());
}

// "1/2": of the containers and sidecars, as kubectl counts.
std::string ReadyText(const fv1::PodStatus& pod) {
  int all = 0;
  int ready = 0;
  const auto count = [&](const fv1::ContainerStatus& container) {
    ++all;
    ready += container.ready() ? 1 : 0;
  };
  for (const fv1::ContainerStatus& container : pod.containers()) count(container);
  for (const fv1::ContainerStatus& container : pod.init_containers()) {
    if (container.sidecar()) count(container);
  }
  return fmt::format("{}/{}", ready, all);
}

Result<fv1::ListPodsResponse> FetchPods(const Client& client, bool all) {
  grpc::ClientContext context;
  fv1::ListPodsRequest request;
  fv1::ListPodsResponse response;
  request.set_all(all);
  RETURN_IF_ERROR(ToResult(client.pods->List(&context, request, &response)));
  return response;
}

}  // namespace

Result<int> ListPods(const Global& global, bool all) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  ASSIGN_OR_RETURN(const fv1::ListPodsResponse pods, FetchPods(client, all));
  if (global.json) return PrintJson(pods);
  std::vector<std::vector<std::string>> rows = {{"POD ID", "NAME", "NAMESPACE", "READY", "PHASE", "CREATED"}};
  if (all) rows[0].emplace_back("OWNER");
  for (const fv1::PodStatus& pod : pods.pods()) {
    auto& row = rows.emplace_back(std::vector<std::string>{pod.id().substr(0, kShortId), Printable(pod.name()),
                                                           Printable(pod.namespace_()), ReadyText(pod), pod.phase(),
                                                           Age(pod.created_at_unix_nanos(), NowNs())});
    if (all) row.push_back(pod.owner());
  }
  std::cout << FormatTable(rows);
  return 0;
}

Result<int> ListContainers(const Global& global, bool all) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  ASSIGN_OR_RETURN(const fv1::ListPodsResponse pods, FetchPods(client, false));
  if (global.json) return PrintJson(pods);
  std::vector<std::vector<std::string>> rows = {
      {"CONTAINER ID", "POD", "NAME", "IMAGE", "STATE", "READY", "RESTARTS", "CREATED"}};
  for (const fv1::PodStatus& pod : pods.pods()) {
    const auto add = [&](const fv1::ContainerStatus& container) {
      if (!all && container.state() != "Running") return;
      rows.push_back({container.id().substr(0, kShortId), Printable(pod.name()), Printable(container.name()),
                      Printable(container.image()), StateWithCode(container), container.ready() ? "yes" : "no",
                      std::to_string(container.restart_count()), Age(container.created_at_unix_nanos(), NowNs())});
    };
    for (const fv1::ContainerStatus& container : pod.init_containers()) add(container);
    for (const fv1::ContainerStatus& container : pod.containers()) add(container);
  }
  std::cout << FormatTable(rows);
  return 0;
}

Result<int> Exec(const Global& global, const ExecOptions& options) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::ExecRequest request;
  fv1::ExecResponse response;
  request.set_pod(options.pod);
  request.set_container(options.container);
  request.set_timeout_seconds(options.timeout_seconds);
  for (const std::string& word : options.command) request.add_command(word);
  RETURN_IF_ERROR(ToResult(client.pods->Exec(&context, request, &response)));
  if (global.json) return PrintJson(response);
  std::cout << response.stdout() << std::flush;
  std::cerr << response.stderr() << std::flush;
  return response.exit_code();
}

Result<int> Stop(const Global& global, const std::vector<std::string>& pods, std::optional<int64_t> grace_seconds) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  for (const std::string& pod : pods) {
    grpc::ClientContext context;
    fv1::StopPodRequest request;
    fv1::StopPodResponse response;
    request.set_pod(pod);
    if (grace_seconds) request.set_grace_seconds(*grace_seconds);
    RETURN_IF_ERROR(ToResult(client.pods->Stop(&context, request, &response)));
    std::cout << Printable(pod) << "\n";
  }
  return 0;
}

Result<int> Remove(const Global& global, const std::vector<std::string>& pods, bool force) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  for (const std::string& pod : pods) {
    grpc::ClientContext context;
    fv1::RemovePodRequest request;
    fv1::RemovePodResponse response;
    request.set_pod(pod);
    request.set_force(force);
    RETURN_IF_ERROR(ToResult(client.pods->Remove(&context, request, &response)));
    std::cout << Printable(pod) << "\n";
  }
  return 0;
}

Result<int> Info(const Global& global) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::InfoResponse info;
  RETURN_IF_ERROR(ToResult(client.system->Info(&context, {}, &info)));
  if (global.json) return PrintJson(info);
  std::cout << FormatTable({{"version", info.version()},
                            {"daemon pid", std::to_string(info.pid())},
                            {"socket", info.socket()},
                            {"data directory", info.data_dir()},
                            {"run directory", info.run_dir()},
                            {"cgroup driver", info.cgroup_driver()},
                            {"cgroup root", info.cgroup_root()},
                            {"controllers", info.controllers().empty() ? "none" : Joined(info.controllers(), " ")},
                            {"network", info.network_ready() ? "ready" : info.network_reason()},
                            {"pods", std::to_string(info.pods())},
                            {"containers", std::to_string(info.containers())},
                            {"images", std::to_string(info.images())},
                            {"kernel", info.kernel()}});
  return 0;
}

Result<int> Version(const Global&) {
  std::cout << "fermata " << kRuntimeVersion << "\n";
  return 0;
}

}  // namespace fermata::cri::cli
