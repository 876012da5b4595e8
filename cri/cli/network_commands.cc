#include "cri/cli/network_commands.h"

#include <iostream>
#include <memory>

#include "cri/cli/client.h"
#include "cri/cli/output.h"

namespace fermata::cri::cli {
namespace {

constexpr size_t kShortId = 12;

Result<fv1::ListNetworkResponse> Fetch(const Global& global) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::ListNetworkResponse response;
  RETURN_IF_ERROR(ToResult(client.network->List(&context, {}, &response)));
  return response;
}

const char* StateOf(const fv1::NetworkAttachment& attachment) {
  return attachment.owed() ? "owed" : attachment.ips().empty() ? "in the making" : "attached";
}

Result<int> ListNetwork(const Global& global) {
  ASSIGN_OR_RETURN(const fv1::ListNetworkResponse network, Fetch(global));
  if (global.json) return PrintJson(network);
  std::vector<std::vector<std::string>> rows = {{"POD ID", "POD", "NETWORK", "ADDRESSES", "HOST PORTS", "STATE"}};
  for (const fv1::NetworkAttachment& attachment : network.attachments()) {
    rows.push_back({attachment.sandbox_id().substr(0, kShortId), Printable(attachment.pod()), attachment.kind(),
                    Printable(Joined(attachment.ips(), " ")), Printable(Joined(attachment.host_ports(), " ")),
                    StateOf(attachment)});
  }
  std::cout << FormatTable(rows);
  return 0;
}

Result<int> InspectNetwork(const Global& global) {
  ASSIGN_OR_RETURN(const fv1::ListNetworkResponse network, Fetch(global));
  if (global.json) return PrintJson(network);
  size_t owed = 0;
  for (const fv1::NetworkAttachment& attachment : network.attachments()) owed += attachment.owed() ? 1 : 0;
  std::cout << FormatTable({{"CRI pods", network.ready() ? "ready" : "not ready: " + Printable(network.reason())},
                            {"CNI network", network.cni_network().empty() ? "none" : Printable(network.cni_network())},
                            {"CNI plugins", network.cni_plugins().empty() ? "none" : network.cni_plugins()},
                            {"built-in subnets", Joined(network.subnets(), " ")},
                            {"built-in bridge", network.bridge()},
                            {"attachments", std::to_string(network.attachments_size())},
                            {"owed", std::to_string(owed)}});
  return 0;
}

Result<int> CheckNetwork(const Global& global, const std::string& pod) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::CheckNetworkRequest request;
  fv1::CheckNetworkResponse response;
  request.set_pod(pod);
  RETURN_IF_ERROR(ToResult(client.network->Check(&context, request, &response)));
  std::cout << Printable(pod) << ": as it was made\n";
  return 0;
}

Result<int> CollectNetwork(const Global& global) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::CollectNetworkResponse response;
  RETURN_IF_ERROR(ToResult(client.network->Collect(&context, {}, &response)));
  if (global.json) return PrintJson(response);
  if (response.owed() != 0) std::cout << response.owed() << " attachments are still owed\n";
  return response.owed() == 0 ? 0 : 1;
}

}  // namespace

void AddNetworkCommands(CLI::App& app, const Global& global, std::function<Result<int>()>& command) {
  CLI::App* network = app.add_subcommand("network", "The networks of pods");
  network->require_subcommand(1);
  network->add_subcommand("ls", "List who has which address, and what is still to be taken down")->callback([&] {
    command = [&] { return ListNetwork(global); };
  });
  network->add_subcommand("inspect", "Show what is configured")->callback([&] {
    command = [&] { return InspectNetwork(global); };
  });
  const auto pod = std::make_shared<std::string>();
  CLI::App* check = network->add_subcommand("check", "Ask whether a pod's network is as it was made");
  check->add_option("POD", *pod, "name, or id or its beginning")->required();
  check->callback([&, pod] { command = [&global, pod] { return CheckNetwork(global, *pod); }; });
  network->add_subcommand("gc", "Take down what is owed, and collect what belongs to nobody")->callback([&] {
    command = [&] { return CollectNetwork(global); };
  });
}

}  // namespace fermata::cri::cli
