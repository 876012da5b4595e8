#include "sandbox/network/firewall.h"

#include <nftables/libnftables.h>

namespace fermata::sandbox {
namespace {

std::string Elements(const std::vector<std::string>& elements) {
  std::string list;
  for (const std::string& element : elements) list += (list.empty() ? "" : ", ") + element;
  return list;
}

std::string SetText(const std::string& name, bool six, const std::vector<IpRange>& ranges) {
  std::vector<std::string> texts;
  for (const IpRange& range : ranges) {
    if (range.base.six == six) texts.push_back(range.Text());
  }
  std::string text = "  set " + name + (six ? "6" : "4") + " { type " + (six ? "ipv6_addr" : "ipv4_addr") +
                     "; flags interval; auto-merge; ";
  if (!texts.empty()) text += "elements = { " + Elements(texts) + " }; ";
  return text + "}\n";
}

std::string MapName(const HostPort& port) {
  return std::string("ports") + (port.pod.six ? "6" : "4") + (port.host_ip.empty() ? "" : "_at");
}

std::string MapElement(const HostPort& port) {
  return (port.host_ip.empty() ? "" : port.host_ip + " . ") + port.protocol + " . " + std::to_string(port.host_port) +
         " : " + port.pod.Text() + " . " + std::to_string(port.pod_port);
}

std::string PortCommands(const std::string& verb, const std::string& table, const std::vector<HostPort>& ports) {
  std::string text;
  for (const HostPort& port : ports) {
    text += verb + " element inet " + table + " " + MapName(port) + " { " + MapElement(port) + " }\n";
  }
  return text;
}

// The node reaches host ports too, also by 127.0.0.1; nobody else may send to that from outside (CVE-2020-8558).
// dstnat has no name in the hook of output; its number is -100.
constexpr const char* kChains = R"(
  map ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map ports4_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  map ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
  map ports6_at { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
  chain ports {
    dnat ip to ip daddr . meta l4proto . th dport map @ports4_at
    dnat ip to meta l4proto . th dport map @ports4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6_at
    dnat ip6 to meta l4proto . th dport map @ports6
  }
  chain raw { type filter hook prerouting priority raw; policy accept;
    iifname "BRIDGE" ip daddr 127.0.0.0/8 drop
  }
  chain prerouting { type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump ports
  }
  chain output { type nat hook output priority -100; policy accept;
    fib daddr type local jump ports
  }
  chain postrouting { type nat hook postrouting priority srcnat; policy accept;
    ip saddr @pods4 ip daddr != @direct4 masquerade
    ip6 saddr @pods6 ip6 daddr != @direct6 masquerade
    oifname "BRIDGE" ip saddr 127.0.0.0/8 masquerade
    oifname "BRIDGE" ip saddr @pods4 ct status dnat masquerade
    oifname "BRIDGE" ip6 saddr @pods6 ct status dnat masquerade
  }
}
)";

}  // namespace

std::string TableText(const std::string& table, const FirewallState& state) {
  std::vector<IpRange> direct = state.pods;
  direct.insert(direct.end(), state.direct.begin(), state.direct.end());
  std::string text = "add table inet " + table + "\ndelete table inet " + table + "\ntable inet " + table + " {\n";
  for (const bool six : {false, true}) {
    text += SetText("pods", six, state.pods);
    text += SetText("direct", six, direct);
  }
  std::string chains = kChains;
  for (size_t at = 0; (at = chains.find("BRIDGE", at)) != std::string::npos;) chains.replace(at, 6, state.bridge);
  return text + chains + AddPortsText(table, state.ports);
}

std::string AddPortsText(const std::string& table, const std::vector<HostPort>& ports) {
  return PortCommands("add", table, ports);
}

// Deleting what is not there is an error, adding what is there is none.
std::string DeletePortsText(const std::string& table, const std::vector<HostPort>& ports) {
  return PortCommands("add", table, ports) + PortCommands("delete", table, ports);
}

Firewall::~Firewall() {
  if (nft_ != nullptr) nft_ctx_free(nft_);
}

Result<> Firewall::Run(const std::string& commands) {
  if (commands.empty()) return {};
  const std::lock_guard lock(mutex_);
  if (nft_ == nullptr) {
    nft_ = nft_ctx_new(NFT_CTX_DEFAULT);
    if (nft_ == nullptr) return Error::Make(ErrorCode::kInternal, "nftables: no context");
    if (nft_ctx_buffer_error(nft_) != 0 || nft_ctx_buffer_output(nft_) != 0) {
      return Error::Make(ErrorCode::kInternal, "nftables: no buffers");
    }
  }
  if (nft_run_cmd_from_buffer(nft_, commands.c_str()) == 0) return {};
  std::string why = nft_ctx_get_error_buffer(nft_);
  return Error::Make(ErrorCode::kInternal, "nftables: ", why.substr(0, why.find('\n')));
}

Result<> Firewall::Replace(const FirewallState& state) { return Run(TableText(table_, state)); }
Result<> Firewall::AddPorts(const std::vector<HostPort>& ports) { return Run(AddPortsText(table_, ports)); }
Result<> Firewall::DeletePorts(const std::vector<HostPort>& ports) { return Run(DeletePortsText(table_, ports)); }
Result<> Firewall::Remove() { return Run("add table inet " + table_ + "\ndelete table inet " + table_ + "\n"); }

}  // namespace fermata::sandbox
