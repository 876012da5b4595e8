#include "sandbox/network/cni_backend.h"

#include "sandbox/network/netns.h"

namespace fermata::sandbox {
namespace {

CniDeadline In(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

CniAttachment Of(const Attachment& a) {
  // A namespace that is gone has no path: plugins then take down what lies outside of it.
  return {a.id, IsPinned(a.netns) ? a.netns : "", a.interface, a.args, a.runtime_config, a.result};
}

}  // namespace

Result<> CniBackend::Add(Attachment& attachment, int) {
  ASSIGN_OR_RETURN(const CniNetwork network, ParseCniNetwork(attachment.network, "recorded CNI configuration"));
  ASSIGN_OR_RETURN(CniResult result, CniChain(plugins_, network).Add(Of(attachment), In(timeouts_.add)));
  attachment.result = std::move(result.value);
  attachment.ips = std::move(result.ips);
  return {};
}

Result<> CniBackend::Del(const Attachment& attachment) {
  ASSIGN_OR_RETURN(const CniNetwork network, ParseCniNetwork(attachment.network, "recorded CNI configuration"));
  return CniChain(plugins_, network).Del(Of(attachment), In(timeouts_.del));
}

Result<> CniBackend::Check(const Attachment& attachment) {
  ASSIGN_OR_RETURN(const CniNetwork network, ParseCniNetwork(attachment.network, "recorded CNI configuration"));
  return CniChain(plugins_, network).Check(Of(attachment), In(timeouts_.del));
}

Result<> CniBackend::Collect(const std::vector<Attachment>& valid) {
  const CniNetworkPtr network = current_();
  if (network == nullptr) return {};
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const Attachment& attachment : valid) {
    if (attachment.kind == "cni") pairs.emplace_back(attachment.id, attachment.interface);
  }
  return CniChain(plugins_, *network).Gc(pairs, In(timeouts_.add));
}

Result<> CniBackend::Status(const CniNetwork& network) const {
  return CniChain(plugins_, network).Status(In(timeouts_.status));
}

}  // namespace fermata::sandbox
