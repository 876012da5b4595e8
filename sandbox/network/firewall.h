// Firewall: the one nftables table of the instance: masquerade and host ports of the built-in network. Thread-safe.
// Owns the connection to the kernel, not the table: it stays until Remove.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/network/ip_range.h"

struct nft_ctx;

namespace fermata::sandbox {

// A host port of a pod, for one family.
struct HostPort {
  std::string protocol;  // tcp, udp, sctp
  uint16_t host_port = 0, pod_port = 0;
  std::string host_ip;  // empty: all addresses of the node
  IpAddress pod;
  auto operator<=>(const HostPort&) const = default;
};

struct FirewallState {
  std::string bridge;
  std::vector<IpRange> pods;    // where pods are
  std::vector<IpRange> direct;  // besides: reached with the pod's own address
  std::vector<HostPort> ports;
};

// The texts, as nft(8) reads them. Pure.
std::string TableText(const std::string& table, const FirewallState& state);
// One transaction each; of a port that is there, or not there, already too.
std::string AddPortsText(const std::string& table, const std::vector<HostPort>& ports);
std::string DeletePortsText(const std::string& table, const std::vector<HostPort>& ports);

class Firewall {
 public:
  explicit Firewall(std::string table) : table_(std::move(table)) {}
  ~Firewall();
  Firewall(const Firewall&) = delete;
  Firewall& operator=(const Firewall&) = delete;

  // The table is `state` and nothing else, in one transaction.
  Result<> Replace(const FirewallState& state);
  Result<> AddPorts(const std::vector<HostPort>& ports);
  Result<> DeletePorts(const std::vector<HostPort>& ports);
  // Succeeds when there is none.
  Result<> Remove();

 private:
  Result<> Run(const std::string& commands);

  const std::string table_;
  std::mutex mutex_;  // guards the connection, which knows one command at a time; held while the kernel answers
  nft_ctx* nft_ = nullptr;
};

}  // namespace fermata::sandbox
