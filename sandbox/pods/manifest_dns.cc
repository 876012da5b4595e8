// dnsPolicy, dnsConfig, hostAliases, hostname and subdomain of a pod.
#include <algorithm>

#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

constexpr const char* kClusterDomain = "cluster.local";  // where a cluster would have the pod's full name
constexpr size_t kMaxHostname = 63;

struct AliasDraft {
  std::string ip;
  std::vector<std::string> names;
};
Result<std::vector<std::string>> ReadHostNames(const Node& node) {
  return ReadList<std::string>(node, ReadDnsSubdomain);
}
constexpr Field<AliasDraft> kAliasFields[] = {
    {"ip", Put<&AliasDraft::ip, ReadIp>},
    {"hostnames", Put<&AliasDraft::names, ReadHostNames>},
};
Result<AliasDraft> ReadAlias(const Node& node) {
  AliasDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kAliasFields, draft));
  RETURN_IF_ERROR(Require(node, "ip", !draft.ip.empty()));
  return draft;
}

Result<std::vector<std::string>> ReadDnsOptions(const Node& node) {
  ASSIGN_OR_RETURN(const std::vector<NamedValue> list, ReadList<NamedValue>(node, ReadNamedValue));
  std::vector<std::string> options;
  for (const NamedValue& option : list) options.push_back(option.name + (option.value ? ":" + *option.value : ""));
  return options;
}
constexpr Field<DnsConfig> kDnsFields[] = {
    {"nameservers", Put<&DnsConfig::servers, ReadStrings>},
    {"searches", Put<&DnsConfig::searches, ReadStrings>},
    {"options", Put<&DnsConfig::options, ReadDnsOptions>},
};

// A pod's name may be longer than the kernel lets a host name be; kubelet cuts it the same way.
std::string HostnameOf(const std::string& pod_name) {
  std::string name = pod_name.substr(0, kMaxHostname);
  name.erase(name.find_last_not_of("-.") + 1);
  return name;
}

}  // namespace

Result<std::string> ReadDnsPolicy(const Node& node) {
  ASSIGN_OR_RETURN(std::string policy, ReadString(node));
  for (const char* known : {"Default", "ClusterFirst", "ClusterFirstWithHostNet", "None"}) {
    if (policy == known) return policy;
  }
  return BadValue(node, Quoted(policy), " is none of Default, ClusterFirst, ClusterFirstWithHostNet and None");
}

using HostAliases = std::map<std::string, std::vector<std::string>>;

Result<HostAliases> ReadHostAliases(const Node& node) {
  ASSIGN_OR_RETURN(const std::vector<AliasDraft> list, ReadList<AliasDraft>(node, ReadAlias));
  HostAliases out;
  for (const AliasDraft& alias : list) {
    std::vector<std::string>& names = out[alias.ip];
    names.insert(names.end(), alias.names.begin(), alias.names.end());
  }
  return out;
}

Result<> FillDns(const Node& spec, const std::string& policy, const Node* config, PodManifest& out) {
  DnsConfig dns;
  if (config != nullptr) {
    RETURN_IF_ERROR(ReadObject(*config, kDnsFields, dns));
    if (auto checked = CheckDns(dns); !checked) return AtNode(*config, checked.error());
  }
  if (policy != "None") {
    out.dns_addition = std::move(dns);
    return {};
  }
  if (config == nullptr) return BadValue(spec, "dnsPolicy None needs a dnsConfig");
  if (dns.servers.empty()) return BadValue(*config, "dnsPolicy None needs a nameserver");
  out.sandbox.dns = std::move(dns);
  return {};
}

Result<> FillHostname(const Node& spec, const HostnameDraft& draft, SandboxSpec& out) {
  if (out.namespaces.network == NamespaceMode::kNode) return {};  // it has the host's name
  out.hostname = draft.hostname.empty() ? HostnameOf(out.name) : draft.hostname;
  if (draft.subdomain.empty()) return {};
  out.fqdn = out.hostname + "." + draft.subdomain + "." + out.name_space + ".svc." + kClusterDomain;
  if (!draft.as_fqdn) return {};
  if (out.fqdn.size() > kMaxHostname) {
    return BadValue(*spec.Find("setHostnameAsFQDN"), Quoted(out.fqdn), " is longer than 63 bytes");
  }
  out.hostname = out.fqdn;
  return {};
}

}  // namespace fermata::sandbox::pods
