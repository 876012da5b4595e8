#include "cri/network_service.h"

#include "cri/server.h"
#include "sandbox/network/builtin_network.h"

namespace fermata::cri {
namespace {

void AddHostPorts(const sandbox::Attachment& attachment, fv1::NetworkAttachment& message) {
  if (!attachment.runtime_config.contains("portMappings")) return;
  for (const Json& mapping : attachment.runtime_config["portMappings"]) {
    const std::string ip = mapping.value("hostIP", "");
    const bool six = ip.find(':') != std::string::npos;
    const std::string where = ip.empty() ? "" : six ? "[" + ip + "]:" : ip + ":";
    message.add_host_ports(where + mapping.at("hostPort").dump() + "/" + mapping.at("protocol").get<std::string>());
  }
}

// By name, "name space/name", or the beginning of the sandbox's id.
Result<std::string> FindAttachment(const std::vector<sandbox::Attachment>& all, const std::string& pod) {
  std::vector<std::string> found;
  for (const sandbox::Attachment& attachment : all) {
    const bool named = attachment.pod == pod || attachment.pod.ends_with("/" + pod);
    if (named || (!pod.empty() && attachment.id.starts_with(pod))) found.push_back(attachment.id);
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) return Error::Make(ErrorCode::kNotFound, "pod ", pod, " has no network");
  std::string ids;
  for (const std::string& id : found) ids += " " + id;
  return Error::Make(ErrorCode::kInvalidArgument, "pod ", pod, " may be any of", ids);
}

}  // namespace

void FillAttachment(const sandbox::Attachment& attachment, fv1::NetworkAttachment& message) {
  message.set_sandbox_id(attachment.id);
  message.set_pod(attachment.pod);
  message.set_kind(attachment.kind);
  message.set_interface(attachment.interface);
  for (const std::string& ip : attachment.ips) message.add_ips(ip);
  message.set_netns(attachment.netns);
  AddHostPorts(attachment, message);
  message.set_owed(attachment.owed);
  if (attachment.result.is_null()) return;
  message.set_result(attachment.result.dump(-1, ' ', false, Json::error_handler_t::replace));
}

grpc::ServerUnaryReactor* NetworkService::List(grpc::CallbackServerContext* context, const fv1::ListNetworkRequest*,
                                               fv1::ListNetworkResponse* response) {
  return ServeNow("Network.List", context, [&]() -> Result<> {
    const PodsService::Client present(presence_);
    const sandbox::NetworkStatus status = network_.Status();
    response->set_ready(status.ready);
    if (!status.ready) response->set_reason(status.message);
    if (const auto configured = network_.Configured()) {
      response->set_cni_network(configured->name);
      std::string plugins;
      for (const auto& plugin : configured->plugins) plugins += (plugins.empty() ? "" : " ") + plugin.type;
      response->set_cni_plugins(plugins);
    }
    const auto subnets = config_.subnets.empty() ? sandbox::InstanceSubnets(config_.Instance()) : config_.subnets;
    for (const std::string& subnet : subnets) response->add_subnets(subnet);
    response->set_bridge(sandbox::BridgeName(config_.Instance()));
    for (const sandbox::Attachment& attachment : network_.Attachments()) {
      FillAttachment(attachment, *response->add_attachments());
    }
    return {};
  });
}

grpc::ServerUnaryReactor* NetworkService::Check(grpc::CallbackServerContext* context,
                                                const fv1::CheckNetworkRequest* request, fv1::CheckNetworkResponse*) {
  return Serve("Network.Check", context, engine_.tasks, [=, this]() -> Result<> {
    const PodsService::Client present(presence_);
    ASSIGN_OR_RETURN(const std::string id, FindAttachment(network_.Attachments(), request->pod()));
    return network_.Check(id);
  });
}

grpc::ServerUnaryReactor* NetworkService::Collect(grpc::CallbackServerContext* context,
                                                  const fv1::CollectNetworkRequest*,
                                                  fv1::CollectNetworkResponse* response) {
  return Serve("Network.Collect", context, engine_.tasks, [=, this]() -> Result<> {
    const PodsService::Client present(presence_);
    ASSIGN_OR_RETURN(const size_t owed, network_.CollectAndWait());
    response->set_owed(static_cast<uint32_t>(owed));
    return {};
  });
}

}  // namespace fermata::cri
