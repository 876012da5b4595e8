#include "sandbox/network/cni_chain.h"

namespace fermata::sandbox {
namespace {

CniCall CallOf(const char* command, const CniAttachment& attachment, CniDeadline deadline) {
  return {command, attachment.id, attachment.netns, attachment.interface, attachment.args, deadline};
}

}  // namespace

std::string CniChain::ConfigFor(const CniPluginConfig& plugin, const Json& runtime_config, const Json& previous) const {
  Json config = plugin.config;
  config["cniVersion"] = network_.version;
  config["name"] = network_.name;
  if (!previous.is_null()) config["prevResult"] = previous;
  if (runtime_config.is_object()) {
    for (const auto& [capability, value] : runtime_config.items()) {
      if (plugin.capabilities.contains(capability)) config["runtimeConfig"][capability] = value;
    }
  }
  // The bytes of names and annotations are the tenant's.
  return config.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<CniResult> CniChain::Add(const CniAttachment& attachment, CniDeadline deadline) {
  CniResult result;
  for (const CniPluginConfig& plugin : network_.plugins) {
    const std::string config = ConfigFor(plugin, attachment.runtime_config, result.value);
    ASSIGN_OR_RETURN(const std::string output, plugins_.Run(plugin.type, CallOf("ADD", attachment, deadline), config));
    ASSIGN_OR_RETURN(result, ParseCniResult(output, network_.version), "CNI plugin ", plugin.type, " ADD");
  }
  if (result.ips.empty()) {
    return Error::Make(ErrorCode::kInternal, "CNI network ", network_.name, ": its plugins gave the pod no address");
  }
  return result;
}

Result<> CniChain::Del(const CniAttachment& attachment, CniDeadline deadline) {
  for (size_t i = network_.plugins.size(); i-- > 0;) {
    const CniPluginConfig& plugin = network_.plugins[i];
    RETURN_IF_ERROR(plugins_.Run(plugin.type, CallOf("DEL", attachment, deadline),
                                 ConfigFor(plugin, attachment.runtime_config, attachment.previous)));
  }
  return {};
}

Result<> CniChain::Check(const CniAttachment& attachment, CniDeadline deadline) {
  if (!network_.Knows("CHECK")) return {};
  for (const CniPluginConfig& plugin : network_.plugins) {
    RETURN_IF_ERROR(plugins_.Run(plugin.type, CallOf("CHECK", attachment, deadline),
                                 ConfigFor(plugin, attachment.runtime_config, attachment.previous)));
  }
  return {};
}

Result<> CniChain::Status(CniDeadline deadline) {
  if (!network_.Knows("STATUS")) return {};
  for (const CniPluginConfig& plugin : network_.plugins) {
    RETURN_IF_ERROR(plugins_.Run(plugin.type, CallOf("STATUS", {}, deadline), ConfigFor(plugin, {}, {})));
  }
  return {};
}

Result<> CniChain::Gc(const std::vector<std::pair<std::string, std::string>>& valid, CniDeadline deadline) {
  if (!network_.Knows("GC")) return {};
  Json attachments = Json::array();
  for (const auto& [id, interface] : valid) attachments.push_back({{"containerID", id}, {"ifname", interface}});
  Result<> first;
  for (const CniPluginConfig& plugin : network_.plugins) {
    CniPluginConfig with = plugin;
    with.config["cni.dev/valid-attachments"] = attachments;
    auto done = plugins_.Run(plugin.type, CallOf("GC", {}, deadline), ConfigFor(with, {}, {}));
    if (!done && first) first = std::move(done).error();
  }
  return first;
}

}  // namespace fermata::sandbox
