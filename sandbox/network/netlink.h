// Netlink: the kernel's network configuration (rtnetlink(7)) of the network namespace in which Open was called. Owns a
// socket, nothing else: what it makes stays. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/base/result.h"
#include "sandbox/network/ip_range.h"

struct mnl_socket;
struct nlmsghdr;

namespace fermata::sandbox {

struct VethRequest {
  std::string name;     // on this side
  int bridge = 0;       // index of the bridge that it becomes a port of
  int peer_netns = -1;  // where the other end is born
  std::string peer_name;
  std::string peer_mac;  // "02:..."; empty: the kernel's choice
  int mtu = 0;           // 0: the kernel's default
};

class Netlink {
 public:
  static Result<Netlink> Open();

  // kNotFound.
  Result<int> IndexOf(const std::string& name);
  // Made with a fixed hardware address, so that pods need not learn a new one with every port.
  Result<int> MakeBridge(const std::string& name, const std::array<uint8_t, 6>& mac, int mtu);
  // Born as a port of the bridge that sends back (hairpin), and up; its other end is down.
  Result<> MakeVeth(const VethRequest& request);
  Result<> SetUp(int index);
  // Without duplicate address detection: who gives the addresses knows. One that is there is no error.
  Result<> AddAddress(int index, const IpAddress& address, int prefix);
  Result<> AddDefaultRoute(int index, const IpAddress& gateway);
  // Limits what leaves by the interface.
  Result<> LimitRate(int index, uint64_t bits_per_second);
  // Succeeds when there is none.
  Result<> Delete(const std::string& name);

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  explicit Netlink(mnl_socket* socket) : socket_(socket) {}
  Result<> Ask(nlmsghdr* message, const std::string& what);

  std::unique_ptr<mnl_socket, Close> socket_;
  uint32_t sequence_ = 0;
};

}  // namespace fermata::sandbox
