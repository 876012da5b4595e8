#include "cri/cli/commands.h"

#include <fmt/format.h>

#include <iostream>

#include "cri/cli/client.h"
#include "cri/cli/output.h"
#include "cri/version.h"

namespace fermata::cri::cli {
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

Result<int> Restart(const Global& global, const std::vector<std::string>& pods, std::optional<int64_t> grace_seconds) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  for (const std::string& pod : pods) {
    grpc::ClientContext context;
    fv1::RestartPodRequest request;
    fv1::RestartPodResponse response;
    request.set_pod(pod);
    if (grace_seconds) request.set_grace_seconds(*grace_seconds);
    RETURN_IF_ERROR(ToResult(client.pods->Restart(&context, request, &response)));
    std::cout << response.id() << "\n";
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
  std::vector<std::vector<std::string>> rows = {
      {"version", info.version()},
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
      {"kernel", info.kernel()},
      {"manifests", info.pods_dir().empty() ? "none" : info.pods_dir()}};
  for (const fv1::ManifestFile& file : info.pods_files()) {
    rows.push_back({"manifest", Printable(file.path()) + ": " +
                                    (file.error().empty() ? Joined(file.pods(), ", ") : Printable(file.error()))});
  }
  std::cout << FormatTable(rows);
  return 0;
}

Result<int> Version(const Global&) {
  std::cout << "fermata " << kRuntimeVersion << "\n";
  return 0;
}

}  // namespace fermata::cri::cli
