#include "sandbox/network/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace fermata::sandbox {
namespace {

constexpr size_t kMessageBytes = 2048;
constexpr uint16_t kCreate = NLM_F_CREATE | NLM_F_EXCL;

// A request with its fixed part; attributes are put behind it.
class Message {
 public:
  Message(uint16_t type, uint16_t flags) : header_(mnl_nlmsg_put_header(buffer_.data())) {
    header_->nlmsg_type = type;
    header_->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
  }
  template <typename Fixed>
  Fixed* Put() {
    return static_cast<Fixed*>(mnl_nlmsg_put_extra_header(header_, sizeof(Fixed)));
  }
  void Attribute(uint16_t type, const void* data, size_t size) { mnl_attr_put(header_, type, size, data); }
  void Number(uint16_t type, uint32_t value) { mnl_attr_put_u32(header_, type, value); }
  void Byte(uint16_t type, uint8_t value) { mnl_attr_put_u8(header_, type, value); }
  void Text(uint16_t type, const std::string& text) { mnl_attr_put_strz(header_, type, text.c_str()); }
  nlattr* Nest(uint16_t type) { return mnl_attr_nest_start(header_, type); }
  void End(nlattr* nest) { mnl_attr_nest_end(header_, nest); }
  nlmsghdr* header() { return header_; }

 private:
  alignas(nlmsghdr) std::array<char, kMessageBytes> buffer_{};
  nlmsghdr* header_;
};

Result<> CheckName(const std::string& name) {
  if (!name.empty() && name.size() < IFNAMSIZ) return {};
  return Error::Make(ErrorCode::kInvalidArgument, "interface name \"", name, "\" is not of 1 to 15 characters");
}

Result<std::array<uint8_t, 6>> ParseMac(const std::string& text) {
  std::array<uint8_t, 6> mac{};
  std::array<unsigned, 6> parts{};
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", parts.data(), &parts[1], &parts[2], &parts[3], &parts[4],
                  &parts[5]) != 6) {
    return Error::Make(ErrorCode::kInvalidArgument, "\"", text, "\" is no hardware address");
  }
  std::transform(parts.begin(), parts.end(), mac.begin(), [](unsigned part) { return static_cast<uint8_t>(part); });
  if ((mac[0] & 1) != 0) return Error::Make(ErrorCode::kInvalidArgument, text, " is a group's address");
  return mac;
}

int OnMessage(const nlmsghdr* header, void* data) {
  if (header->nlmsg_type == RTM_NEWLINK) {
    *static_cast<int*>(data) = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header))->ifi_index;
  }
  return MNL_CB_OK;
}

}  // namespace

void Netlink::Close::operator()(mnl_socket* socket) const {
  (void)mnl_socket_close(socket);  // nothing can be done
}

Result<Netlink> Netlink::Open() {
  mnl_socket* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (socket == nullptr) return Error::Errno("netlink socket");
  Netlink netlink(socket);
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) return Error::Errno("netlink bind");
  return netlink;
}

// Gives errno 0 for success, the kernel's otherwise.
Result<> Netlink::Ask(nlmsghdr* message, const std::string& what) {
  message->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), message, message->nlmsg_len) < 0) return Error::Errno(what, ": send");
  std::array<char, 8192> buffer{};
  const unsigned port = mnl_socket_get_portid(socket_.get());
  for (;;) {
    const ssize_t count = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::Errno(what, ": receive");
    int ignored = 0;
    const int more = mnl_cb_run(buffer.data(), static_cast<size_t>(count), sequence_, port, OnMessage, &ignored);
    if (more < 0) return Error::Errno(what);
    if (more == MNL_CB_STOP) return {};
  }
}

Result<int> Netlink::IndexOf(const std::string& name) {
  RETURN_IF_ERROR(CheckName(name));
  Message message(RTM_GETLINK, 0);
  message.header()->nlmsg_flags = NLM_F_REQUEST;
  message.Put<ifinfomsg>()->ifi_family = AF_UNSPEC;
  message.Text(IFLA_IFNAME, name);
  message.header()->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), message.header(), message.header()->nlmsg_len) < 0) {
    return Error::Errno("find interface ", name);
  }
  std::array<char, 16384> buffer{};
  const ssize_t count = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
  if (count < 0) return Error::Errno("find interface ", name);
  int index = 0;
  const unsigned port = mnl_socket_get_portid(socket_.get());
  if (mnl_cb_run(buffer.data(), static_cast<size_t>(count), sequence_, port, OnMessage, &index) < 0) {
    Error error = Error::Errno("find interface ", name);
    return error.saved_errno() == ENODEV ? std::move(error).WithCode(ErrorCode::kNotFound) : std::move(error);
  }
  return index;
}

Result<int> Netlink::MakeBridge(const std::string& name, const std::array<uint8_t, 6>& mac, int mtu) {
  if (auto there = IndexOf(name)) return *there;
  Message message(RTM_NEWLINK, kCreate);
  auto* info = message.Put<ifinfomsg>();
  info->ifi_flags = info->ifi_change = IFF_UP;
  message.Text(IFLA_IFNAME, name);
  message.Attribute(IFLA_ADDRESS, mac.data(), mac.size());
  if (mtu != 0) message.Number(IFLA_MTU, static_cast<uint32_t>(mtu));
  nlattr* link = message.Nest(IFLA_LINKINFO);
  message.Text(IFLA_INFO_KIND, "bridge");
  message.End(link);
  RETURN_IF_ERROR(Ask(message.header(), "make bridge " + name));
  return IndexOf(name);
}

Result<> Netlink::MakeVeth(const VethRequest& request) {
  RETURN_IF_ERROR(CheckName(request.name));
  RETURN_IF_ERROR(CheckName(request.peer_name));
  Message message(RTM_NEWLINK, kCreate);
  auto* info = message.Put<ifinfomsg>();
  info->ifi_flags = info->ifi_change = IFF_UP;
  message.Text(IFLA_IFNAME, request.name);
  message.Number(IFLA_MASTER, static_cast<uint32_t>(request.bridge));
  if (request.mtu != 0) message.Number(IFLA_MTU, static_cast<uint32_t>(request.mtu));
  nlattr* link = message.Nest(IFLA_LINKINFO);
  message.Text(IFLA_INFO_KIND, "veth");
  nlattr* data = message.Nest(IFLA_INFO_DATA);
  nlattr* peer = message.Nest(VETH_INFO_PEER);
  message.Put<ifinfomsg>();  // not up: the kernel opens no veth before it knows its other end (ENOTCONN)
  message.Text(IFLA_IFNAME, request.peer_name);
  message.Number(IFLA_NET_NS_FD, static_cast<uint32_t>(request.peer_netns));
  if (request.mtu != 0) message.Number(IFLA_MTU, static_cast<uint32_t>(request.mtu));
  if (!request.peer_mac.empty()) {
    ASSIGN_OR_RETURN(const auto mac, ParseMac(request.peer_mac));
    message.Attribute(IFLA_ADDRESS, mac.data(), mac.size());
  }
  message.End(peer);
  message.End(data);
  message.End(link);
  RETURN_IF_ERROR(Ask(message.header(), "make veth " + request.name));
  ASSIGN_OR_RETURN(const int index, IndexOf(request.name));
  Message port(RTM_SETLINK, 0);
  auto* port_info = port.Put<ifinfomsg>();
  port_info->ifi_family = PF_BRIDGE;
  port_info->ifi_index = index;
  nlattr* settings = port.Nest(IFLA_PROTINFO | NLA_F_NESTED);
  port.Byte(IFLA_BRPORT_MODE, 1);
  port.End(settings);
  return Ask(port.header(), "set hairpin of " + request.name);
}

Result<> Netlink::SetUp(int index) {
  Message message(RTM_SETLINK, 0);
  auto* info = message.Put<ifinfomsg>();
  info->ifi_index = index;
  info->ifi_flags = info->ifi_change = IFF_UP;
  return Ask(message.header(), "set interface up");
}

Result<> Netlink::AddAddress(int index, const IpAddress& address, int prefix) {
  Message message(RTM_NEWADDR, kCreate);
  auto* info = message.Put<ifaddrmsg>();
  info->ifa_family = address.six ? AF_INET6 : AF_INET;
  info->ifa_prefixlen = static_cast<uint8_t>(prefix);
  info->ifa_index = static_cast<uint32_t>(index);
  info->ifa_flags = address.six ? IFA_F_NODAD : 0;
  message.Attribute(IFA_LOCAL, address.bytes.data(), address.size());
  message.Attribute(IFA_ADDRESS, address.bytes.data(), address.size());
  if (!address.six) {
    IpAddress broadcast = address;
    for (int bit = prefix; bit < 32; ++bit) {
      broadcast.bytes.at(static_cast<size_t>(bit) / 8) |= static_cast<uint8_t>(0x80 >> (bit % 8));
    }
    message.Attribute(IFA_BROADCAST, broadcast.bytes.data(), broadcast.size());
  }
  auto added = Ask(message.header(), "add address " + address.Text());
  return !added && added.error().saved_errno() == EEXIST ? Result<>() : std::move(added);
}

Result<> Netlink::AddDefaultRoute(int index, const IpAddress& gateway) {
  Message message(RTM_NEWROUTE, kCreate);
  auto* info = message.Put<rtmsg>();
  info->rtm_family = gateway.six ? AF_INET6 : AF_INET;
  info->rtm_table = RT_TABLE_MAIN;
  info->rtm_protocol = RTPROT_STATIC;
  info->rtm_scope = RT_SCOPE_UNIVERSE;
  info->rtm_type = RTN_UNICAST;
  message.Attribute(RTA_GATEWAY, gateway.bytes.data(), gateway.size());
  message.Number(RTA_OIF, static_cast<uint32_t>(index));
  return Ask(message.header(), "add default route by " + gateway.Text());
}

// A token bucket (tc-tbf(8)). The bucket holds 20 ms, and at least what segmentation offload sends as one packet.
Result<> Netlink::LimitRate(int index, uint64_t bits_per_second) {
  constexpr uint64_t kLeastBurst = 65536;
  constexpr uint64_t kLatencyUs = 50'000;
  const uint64_t rate = std::max<uint64_t>(bits_per_second / 8, 1);
  const uint64_t burst = std::clamp<uint64_t>(rate / 50, kLeastBurst, uint64_t{64} << 20);
  tc_tbf_qopt options{};
  options.rate.linklayer = TC_LINKLAYER_ETHERNET;  // else the kernel wants a table of transmission times
  options.rate.rate = static_cast<uint32_t>(std::min<uint64_t>(rate, UINT32_MAX));
  options.limit = static_cast<uint32_t>(std::min<uint64_t>(burst + rate * kLatencyUs / 1'000'000, UINT32_MAX));
  options.buffer = static_cast<uint32_t>(std::min<uint64_t>(burst * 15'625'000 / rate, UINT32_MAX));  // in 64 ns
  Message message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE);
  auto* info = message.Put<tcmsg>();
  info->tcm_ifindex = index;
  info->tcm_parent = TC_H_ROOT;
  info->tcm_handle = 0x10000;
  message.Text(TCA_KIND, "tbf");
  nlattr* nest = message.Nest(TCA_OPTIONS);
  message.Attribute(TCA_TBF_PARMS, &options, sizeof options);
  message.Number(TCA_TBF_BURST, static_cast<uint32_t>(burst));
  if (rate > UINT32_MAX) message.Attribute(TCA_TBF_RATE64, &rate, sizeof rate);
  message.End(nest);
  return Ask(message.header(), "limit the rate");
}

Result<> Netlink::Delete(const std::string& name) {
  RETURN_IF_ERROR(CheckName(name));
  Message message(RTM_DELLINK, 0);
  message.Put<ifinfomsg>();
  message.Text(IFLA_IFNAME, name);
  auto deleted = Ask(message.header(), "delete interface " + name);
  return !deleted && deleted.error().saved_errno() == ENODEV ? Result<>() : std::move(deleted);
}

}  // namespace fermata::sandbox
