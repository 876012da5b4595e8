#include "sandbox/network/builtin_network.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "sandbox/network/builtin_host.h"
#include "sandbox/network/netns.h"

namespace fermata::sandbox {
namespace {

std::vector<std::string> RequestedIps(const Attachment& attachment) {
  std::vector<std::string> ips;
  const auto found = attachment.runtime_config.find("ips");
  if (found == attachment.runtime_config.end()) return ips;
  for (const Json& ip : *found) {
    const auto text = ip.get<std::string>();
    ips.push_back(text.substr(0, text.find('/')));
  }
  return ips;
}

// Of both families of the pod where the mapping names no address of one. The values become commands of nftables.
Result<std::vector<HostPort>> PortsOf(const Attachment& attachment) {
  std::vector<HostPort> ports;
  const auto found = attachment.runtime_config.find("portMappings");
  if (found == attachment.runtime_config.end()) return ports;
  for (const Json& mapping : *found) {
    const std::string host_ip = mapping.value("hostIP", "");
    const std::string protocol = mapping.value("protocol", "tcp");
    const auto where = IpAddress::Parse(host_ip);
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
      return Error::Make(ErrorCode::kInvalidArgument, "portMappings: protocol is none of tcp, udp, sctp");
    }
    if (!where && !host_ip.empty()) return Error::Make(ErrorCode::kInvalidArgument, "portMappings: hostIP is none");
    const bool any = !where || host_ip == "0.0.0.0" || host_ip == "::";
    const auto host_port = mapping.value("hostPort", uint16_t{0});
    for (const std::string& text : attachment.ips) {
      const auto pod = IpAddress::Parse(text);
      if (host_port == 0 || !pod || (where && where->six != pod->six)) continue;
      ports.push_back(
          {protocol, host_port, mapping.value("containerPort", uint16_t{0}), any ? "" : where->Text(), *pod});
    }
  }
  return ports;
}

// As asked, or made from the address: neighbours that remember the pod which had that address before find the new one.
std::string MacOf(const Attachment& attachment) {
  if (const auto mac = attachment.runtime_config.find("mac"); mac != attachment.runtime_config.end()) {
    return mac->get<std::string>();
  }
  const auto ip = IpAddress::Parse(attachment.ips.front());
  const size_t from = ip->size() - 4;
  std::array<char, 18> text{};
  (void)std::snprintf(text.data(), text.size(), "06:fe:%02x:%02x:%02x:%02x", ip->bytes.at(from), ip->bytes.at(from + 1),
                      ip->bytes.at(from + 2), ip->bytes.at(from + 3));
  return text.data();
}

uint64_t RateOf(const Attachment& attachment, const char* direction) {
  const auto found = attachment.runtime_config.find("bandwidth");
  return found == attachment.runtime_config.end() ? 0 : found->value(direction, uint64_t{0});
}

}  // namespace

BuiltinNetwork::BuiltinNetwork(const BuiltinOptions& options, std::vector<IpRange> direct)
    : options_(options),
      direct_(std::move(direct)),
      bridge_(BridgeName(options.instance)),
      firewall_(TableName(options.instance)) {}

Result<std::unique_ptr<BuiltinNetwork>> BuiltinNetwork::Make(const BuiltinOptions& options) {
  std::vector<IpRange> direct;
  for (const std::string& text : options.direct) {
    ASSIGN_OR_RETURN(const IpRange range, IpRange::Parse(text), "network.direct");
    direct.push_back(range);
  }
  std::unique_ptr<BuiltinNetwork> network(new BuiltinNetwork(options, std::move(direct)));
  const auto subnets = options.subnets.empty() ? InstanceSubnets(options.instance) : options.subnets;
  for (const std::string& text : subnets) {
    ASSIGN_OR_RETURN(const IpRange range, IpRange::Parse(text), "network.subnets");
    if (range.base.six && !HostHasIpv6()) continue;
    for (const AddressPool& other : network->pools_) {
      if (other.range().base.six != range.base.six) continue;
      return Error::Make(ErrorCode::kInvalidArgument, "network.subnets: two of one family: ", text);
    }
    network->pools_.emplace_back(range);
  }
  return network;
}

Result<> BuiltinNetwork::Start(const std::vector<Attachment>& recorded) {
  const std::lock_guard lock(bridge_mutex_);
  {
    const std::lock_guard members(mutex_);
    for (const Attachment& attachment : recorded) {
      if (attachment.kind != "builtin") continue;
      Member& member = members_[attachment.id];
      for (const std::string& text : attachment.ips) {
        const auto ip = IpAddress::Parse(text);
        if (!ip) continue;
        member.ips.push_back(*ip);
        for (AddressPool& pool : pools_) {
          if (pool.range().Contains(*ip)) (void)pool.TakeThis(*ip, attachment.pod);  // two holders: the first one's
        }
      }
      if (auto ports = PortsOf(attachment)) member.ports = std::move(*ports);
    }
    if (members_.empty()) return {};
  }
  ASSIGN_OR_RETURN(Netlink netlink, Netlink::Open());
  return EnsureBridge(netlink);
}

FirewallState BuiltinNetwork::StateLocked() const {
  FirewallState state{.bridge = bridge_, .direct = direct_};
  for (const AddressPool& pool : pools_) state.pods.push_back(pool.range());
  for (const auto& [id, member] : members_) {
    state.ports.insert(state.ports.end(), member.ports.begin(), member.ports.end());
  }
  return state;
}

// With bridge_mutex_. The rules are what the attachments ask for, whatever the daemon before left or others removed.
Result<> BuiltinNetwork::EnsureBridge(Netlink& netlink) {
  if (bridge_index_ != 0) return {};
  ASSIGN_OR_RETURN(const int index, netlink.MakeBridge(bridge_, BridgeMac(options_.instance), options_.mtu));
  FirewallState state;
  {
    const std::lock_guard lock(mutex_);
    state = StateLocked();
  }
  for (const IpRange& range : state.pods) {
    RETURN_IF_ERROR(netlink.AddAddress(index, range.gateway(), range.prefix), "bridge ", bridge_);
  }
  RETURN_IF_ERROR(netlink.SetUp(index), "bridge ", bridge_);
  RETURN_IF_ERROR(ForwardPackets(bridge_, state.pods));
  RETURN_IF_ERROR(firewall_.Replace(state));
  bridge_index_ = index;
  return {};
}

// With mutex_. A second family gets the place that the pod has in the first one, where that is free: a hardware address
// is made from it, and whoever still knows that of a pod before finds this one.
Result<IpAddress> BuiltinNetwork::TakeFrom(AddressPool& pool, const Attachment& attachment, const Member& member) {
  for (const std::string& text : RequestedIps(attachment)) {
    const auto ip = IpAddress::Parse(text);
    if (!ip || !pool.range().Contains(*ip)) continue;
    RETURN_IF_ERROR(pool.TakeThis(*ip, attachment.pod));
    return *ip;
  }
  if (!member.ips.empty()) {
    const uint64_t place = member.ips.front().DistanceFrom(pools_.front().range().base);
    const IpAddress twin = pool.range().base.Plus(place);
    if (place < pool.range().Capacity() && pool.TakeThis(twin, attachment.pod)) return twin;
  }
  return pool.Take(attachment.pod);
}

Result<> BuiltinNetwork::Allocate(Attachment& attachment) {
  const std::lock_guard lock(mutex_);
  for (const std::string& text : RequestedIps(attachment)) {
    const auto ip = IpAddress::Parse(text);
    if (ip && std::ranges::any_of(pools_, [&](const AddressPool& p) { return p.range().Contains(*ip); })) continue;
    return Error::Make(ErrorCode::kInvalidArgument, "address ", text, " is in no range of the network");
  }
  Member& member = members_[attachment.id];
  for (AddressPool& pool : pools_) {
    ASSIGN_OR_RETURN(const IpAddress ip, TakeFrom(pool, attachment, member));
    member.ips.push_back(ip);
    attachment.ips.push_back(ip.Text());
  }
  ASSIGN_OR_RETURN(member.ports, PortsOf(attachment));
  return {};
}

void BuiltinNetwork::Release(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = members_.find(id);
  if (found == members_.end()) return;
  for (const IpAddress& ip : found->second.ips) {
    for (AddressPool& pool : pools_) pool.Release(ip);
  }
  members_.erase(found);
}

Result<> BuiltinNetwork::Add(Attachment& attachment, int netns) {
  RETURN_IF_ERROR(Allocate(attachment), "network");
  RETURN_IF_ERROR(Connect(attachment, netns), "network");
  RETURN_IF_ERROR(ConfigureInside(attachment, netns), "network");
  return OpenPorts(attachment);
}

Result<> BuiltinNetwork::Connect(const Attachment& attachment, int netns) {
  ASSIGN_OR_RETURN(Netlink netlink, Netlink::Open());
  VethRequest request{.name = VethName(attachment.id), .peer_netns = netns, .peer_name = attachment.interface};
  request.mtu = options_.mtu;
  request.peer_mac = MacOf(attachment);
  {
    const std::lock_guard lock(bridge_mutex_);
    RETURN_IF_ERROR(EnsureBridge(netlink));
    request.bridge = bridge_index_;
  }
  auto made = netlink.MakeVeth(request);
  if (!made && !netlink.IndexOf(bridge_)) {  // somebody has removed it
    const std::lock_guard lock(bridge_mutex_);
    bridge_index_ = 0;
    RETURN_IF_ERROR(EnsureBridge(netlink));
    request.bridge = bridge_index_;
    made = netlink.MakeVeth(request);
  }
  RETURN_IF_ERROR(made);
  DisableIpv6(request.name);  // it is a port; nobody speaks to the node by it
  const uint64_t rate = RateOf(attachment, "ingressRate");
  if (rate == 0) return {};
  ASSIGN_OR_RETURN(const int index, netlink.IndexOf(request.name));
  return netlink.LimitRate(index, rate);  // what comes to the pod leaves by this end
}

Result<> BuiltinNetwork::ConfigureInside(const Attachment& attachment, int netns) {
  std::vector<IpRange> ranges;
  {
    const std::lock_guard lock(mutex_);
    for (const AddressPool& pool : pools_) ranges.push_back(pool.range());
  }
  return RunInNetns(netns, [&]() -> Result<> {
    ASSIGN_OR_RETURN(Netlink netlink, Netlink::Open());
    ASSIGN_OR_RETURN(const int index, netlink.IndexOf(attachment.interface));
    RETURN_IF_ERROR(netlink.SetUp(index));
    for (const std::string& text : attachment.ips) {
      const IpAddress ip = *IpAddress::Parse(text);
      const auto range = std::find_if(ranges.begin(), ranges.end(), [&](const IpRange& r) { return r.Contains(ip); });
      RETURN_IF_ERROR(netlink.AddAddress(index, ip, range->prefix));
      RETURN_IF_ERROR(netlink.AddDefaultRoute(index, range->gateway()));
    }
    const uint64_t rate = RateOf(attachment, "egressRate");
    return rate == 0 ? Result<>() : netlink.LimitRate(index, rate);
  });
}

Result<> BuiltinNetwork::OpenPorts(const Attachment& attachment) {
  ASSIGN_OR_RETURN(const std::vector<HostPort> ports, PortsOf(attachment));
  if (ports.empty() || firewall_.AddPorts(ports)) return {};
  // The table is not as we made it: others have flushed it.
  FirewallState state;
  {
    const std::lock_guard lock(mutex_);
    state = StateLocked();
  }
  return firewall_.Replace(state);
}

Result<> BuiltinNetwork::Del(const Attachment& attachment) {
  ASSIGN_OR_RETURN(Netlink netlink, Netlink::Open());
  RETURN_IF_ERROR(netlink.Delete(VethName(attachment.id)));
  std::vector<HostPort> ports;
  {
    const std::lock_guard lock(mutex_);
    const auto found = members_.find(attachment.id);
    if (found != members_.end()) ports = std::move(found->second.ports);
    if (found != members_.end()) found->second.ports.clear();
  }
  if (!ports.empty() && !firewall_.DeletePorts(ports)) {
    FirewallState state;
    {
      const std::lock_guard lock(mutex_);
      state = StateLocked();
    }
    RETURN_IF_ERROR(firewall_.Replace(state));
  }
  Release(attachment.id);
  return {};
}

Result<> BuiltinNetwork::Check(const Attachment& attachment) {
  ASSIGN_OR_RETURN(Netlink netlink, Netlink::Open());
  RETURN_IF_ERROR(netlink.IndexOf(bridge_));
  RETURN_IF_ERROR(netlink.IndexOf(VethName(attachment.id)));
  return {};
}

Result<> BuiltinNetwork::Collect(const std::vector<Attachment>&) {
  const std::lock_guard lock(bridge_mutex_);
  {
    const std::lock_guard members(mutex_);
    if (!members_.empty()) return {};
  }
  ASSIGN_OR_RETURN(Netlink netlink, Netlink::Open());
  if (auto there = netlink.IndexOf(bridge_); !there && there.error().code() == ErrorCode::kNotFound) return {};
  bridge_index_ = 0;
  RETURN_IF_ERROR(firewall_.Remove());
  return netlink.Delete(bridge_);
}

}  // namespace fermata::sandbox
