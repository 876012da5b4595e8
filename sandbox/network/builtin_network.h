// BuiltinNetwork: pods on a bridge of the node, by netlink and nftables alone; no program is executed. Thread-safe.
//
// Everything is named after the instance (bridge, table) or the sandbox (veth), so that it can be found again and
// removed by name. What is durable are the attachments; addresses and rules are rebuilt from them at the start.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/network/address_pool.h"
#include "sandbox/network/attachment.h"
#include "sandbox/network/firewall.h"
#include "sandbox/network/netlink.h"

namespace fermata::sandbox {

struct BuiltinOptions {
  std::string instance;              // empty: the default one
  std::vector<std::string> subnets;  // of pods, at most one a family; empty: those of the instance
  std::vector<std::string> direct;   // reached without masquerade
  int mtu = 0;                       // 0: the kernel's default
};

// Bridge, table and ranges of an instance, for who wants to know them.
std::string BridgeName(const std::string& instance);
std::string TableName(const std::string& instance);
std::vector<std::string> InstanceSubnets(const std::string& instance);
// The node's end of a pod's link.
std::string VethName(const std::string& id);

class BuiltinNetwork : public AttachmentBackend {
 public:
  static Result<std::unique_ptr<BuiltinNetwork>> Make(const BuiltinOptions& options);

  Result<> Start(const std::vector<Attachment>& recorded) override;
  Result<> Add(Attachment& attachment, int netns) override;
  Result<> Del(const Attachment& attachment) override;
  Result<> Check(const Attachment& attachment) override;
  Result<> Collect(const std::vector<Attachment>& valid) override;

 private:
  struct Member {
    std::vector<IpAddress> ips;
    std::vector<HostPort> ports;
  };
  BuiltinNetwork(const BuiltinOptions& options, std::vector<IpRange> direct);

  Result<IpAddress> TakeFrom(AddressPool& pool, const Attachment& attachment, const Member& member);
  Result<> Allocate(Attachment& attachment);
  void Release(const std::string& id);
  Result<> EnsureBridge(Netlink& netlink);
  Result<> OpenPorts(const Attachment& attachment);
  Result<> Connect(const Attachment& attachment, int netns);
  Result<> ConfigureInside(const Attachment& attachment, int netns);
  [[nodiscard]] FirewallState StateLocked() const;

  const BuiltinOptions options_;
  const std::vector<IpRange> direct_;
  const std::string bridge_;
  Firewall firewall_;
  std::mutex bridge_mutex_;  // guards the making and removing of bridge and table; held while the kernel answers
  int bridge_index_ = 0;     // 0: not made
  std::mutex mutex_;         // guards what follows
  std::vector<AddressPool> pools_;
  std::map<std::string, Member> members_;
};

}  // namespace fermata::sandbox
