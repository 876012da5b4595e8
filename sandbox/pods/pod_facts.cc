#include "sandbox/pods/pod_facts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "runtime/base/unique_fd.h"

namespace fermata::sandbox::pods {
namespace {

// The address with which the node would talk to the world: a connected UDP socket sends nothing. Empty: no route.
std::string OwnAddress(int family) {
  const UniqueFd socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return "";
  sockaddr_storage address{};
  socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  auto* const v4 = reinterpret_cast<sockaddr_in*>(&address);
  auto* const v6 = reinterpret_cast<sockaddr_in6*>(&address);
  address.ss_family = static_cast<sa_family_t>(family);
  // Documentation ranges (RFC 5737, RFC 3849): they have no other meaning than "elsewhere".
  void* const bytes = family == AF_INET ? static_cast<void*>(&v4->sin_addr) : static_cast<void*>(&v6->sin6_addr);
  (void)::inet_pton(family, family == AF_INET ? "192.0.2.1" : "2001:db8::1", bytes);
  (family == AF_INET ? v4->sin_port : v6->sin6_port) = htons(9);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::connect(socket.get(), generic, size) != 0 || ::getsockname(socket.get(), generic, &size) != 0) return "";
  char text[INET6_ADDRSTRLEN] = {};
  return ::inet_ntop(family, bytes, text, sizeof text) == nullptr ? "" : text;
}

std::string NameOfOption(const std::string& option) { return option.substr(0, option.find(':')); }

void AddMissing(const std::vector<std::string>& more, std::vector<std::string>& list) {
  for (const std::string& entry : more) {
    if (std::ranges::find(list, entry) == list.end()) list.push_back(entry);
  }
}

DnsConfig ParseResolvConf(std::string_view text) {
  DnsConfig dns;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string keyword;
    words >> keyword;
    std::vector<std::string> rest;
    for (std::string word; words >> word;) rest.push_back(word);
    if (keyword == "nameserver" && !rest.empty()) dns.servers.push_back(rest.front());
    if (keyword == "search" || keyword == "domain") dns.searches = rest;  // the last one counts (resolv.conf(5))
    if (keyword == "options") dns.options.insert(dns.options.end(), rest.begin(), rest.end());
  }
  return dns;
}

}  // namespace

PodFacts NodeFacts() {
  PodFacts facts;
  utsname host{};
  if (::uname(&host) == 0) facts.node_name = host.nodename;
  for (const int family : {AF_INET, AF_INET6}) {
    if (std::string address = OwnAddress(family); !address.empty()) facts.host_ips.push_back(std::move(address));
  }
  if (facts.host_ips.empty()) facts.host_ips.emplace_back("127.0.0.1");
  constexpr int64_t kMilli = 1000;
  facts.node_milli_cpu = ::sysconf(_SC_NPROCESSORS_ONLN) * kMilli;
  struct sysinfo memory {};
  if (::sysinfo(&memory) == 0) facts.node_memory_bytes = static_cast<int64_t>(memory.totalram) * memory.mem_unit;
  return facts;
}

PodFacts FactsOf(const SandboxRecord& sandbox) {
  PodFacts facts = NodeFacts();
  facts.uid = sandbox.spec.uid;
  const bool own = sandbox.spec.namespaces.network != NamespaceMode::kNode;
  facts.pod_ips = own ? sandbox.ips : facts.host_ips;
  return facts;
}

DnsConfig AddedToHosts(std::string_view resolv_conf, const DnsConfig& addition) {
  DnsConfig dns = ParseResolvConf(resolv_conf);
  AddMissing(addition.servers, dns.servers);
  AddMissing(addition.searches, dns.searches);
  for (const std::string& option : addition.options) {
    std::erase_if(dns.options, [&](const std::string& o) { return NameOfOption(o) == NameOfOption(option); });
    dns.options.push_back(option);
  }
  return dns;
}

}  // namespace fermata::sandbox::pods
