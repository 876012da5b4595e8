#include "sandbox/network/cni_arguments.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "sandbox/pods/manifest_quantity.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox {
namespace {

constexpr int64_t kMinRate = 1'000;
constexpr int64_t kMaxRate = 1'000'000'000'000'000;
constexpr int64_t kBurst = std::numeric_limits<int32_t>::max();  // bits; what others give too
constexpr size_t kMaxValue = 253;

Error Invalid(const std::string& what, std::string_view why) {
  return Error::Make(ErrorCode::kInvalidArgument, what, ": ", why);
}

Result<> CheckValue(const char* key, const std::string& value) {
  constexpr const char* kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  if (value.size() <= kMaxValue && value.find_first_not_of(kAllowed) == std::string::npos) return {};
  return Error::Make(ErrorCode::kInvalidArgument, key, ": ", Quoted(value),
                     " is no name that a CNI plugin can be given");
}

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    std::string part = text.substr(at, end - at);
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    if (!part.empty()) parts.push_back(std::move(part));
    at = end + 1;
  }
  return parts;
}

const std::string* Annotation(const SandboxSpec& spec, const char* key) {
  const auto found = spec.annotations.find(key);
  return found == spec.annotations.end() || found->second.empty() ? nullptr : &found->second;
}

Result<int64_t> RateOf(const SandboxSpec& spec, const char* key) {
  const std::string* text = Annotation(spec, key);
  if (text == nullptr) return int64_t{0};
  ASSIGN_OR_RETURN(const int64_t rate, pods::ParseQuantity(*text, 0), "annotation ", key);
  if (rate < kMinRate || rate > kMaxRate) return Invalid(key, "is not in 1k..1P");
  return rate;
}

Json PortMappings(const SandboxSpec& spec) {
  constexpr std::array kProtocols = {"tcp", "udp", "sctp"};
  Json list = Json::array();
  for (const PortMapping& mapping : spec.port_mappings) {
    if (mapping.host_port == 0) continue;
    Json entry = {{"hostPort", mapping.host_port},
                  {"containerPort", mapping.container_port},
                  {"protocol", kProtocols.at(static_cast<size_t>(mapping.protocol))}};
    if (!mapping.host_ip.empty()) entry["hostIP"] = mapping.host_ip;
    list.push_back(std::move(entry));
  }
  return list;
}

Result<> AddAddresses(const SandboxSpec& spec, Json& config) {
  if (const std::string* ips = Annotation(spec, kIpsAnnotation); ips != nullptr) {
    for (const std::string& ip : SplitAtCommas(*ips)) {
      if (!IsIpAddress(ip.substr(0, ip.find('/')))) return Invalid(kIpsAnnotation, Quoted(ip) + " is no address");
      config["ips"].push_back(ip);
    }
  }
  if (const std::string* mac = Annotation(spec, kMacAnnotation); mac != nullptr) {
    const bool plain = mac->size() == 17 && mac->find_first_not_of("0123456789abcdefABCDEF:") == std::string::npos;
    if (!plain) return Invalid(kMacAnnotation, Quoted(*mac) + " is no hardware address");
    config["mac"] = *mac;
  }
  return {};
}

}  // namespace

Result<std::string> CniArgs(const SandboxRecord& sandbox) {
  std::string args = "IgnoreUnknown=1";
  const std::array<std::pair<const char*, const std::string*>, 4> values = {
      {{"K8S_POD_NAMESPACE", &sandbox.spec.name_space},
       {"K8S_POD_NAME", &sandbox.spec.name},
       {"K8S_POD_INFRA_CONTAINER_ID", &sandbox.id.str()},
       {"K8S_POD_UID", &sandbox.spec.uid}}};
  for (const auto& [key, value] : values) {
    RETURN_IF_ERROR(CheckValue(key, *value));
    args += std::string(";") + key + "=" + *value;
  }
  return args;
}

Result<Json> CniRuntimeConfig(const SandboxRecord& sandbox, const std::string& network,
                              const std::vector<std::string>& pod_cidrs) {
  const SandboxSpec& spec = sandbox.spec;
  Json config = Json::object();
  if (Json ports = PortMappings(spec); !ports.empty()) config["portMappings"] = std::move(ports);
  ASSIGN_OR_RETURN(const Bandwidth bandwidth, BandwidthOf(spec));
  if (bandwidth.ingress != 0) {
    config["bandwidth"]["ingressRate"] = bandwidth.ingress;
    config["bandwidth"]["ingressBurst"] = kBurst;
  }
  if (bandwidth.egress != 0) {
    config["bandwidth"]["egressRate"] = bandwidth.egress;
    config["bandwidth"]["egressBurst"] = kBurst;
  }
  if (!spec.dns.servers.empty() || !spec.dns.searches.empty() || !spec.dns.options.empty()) {
    config["dns"] = {{"servers", spec.dns.servers}, {"searches", spec.dns.searches}, {"options", spec.dns.options}};
  }
  RETURN_IF_ERROR(AddAddresses(spec, config));
  config["aliases"] = {{network, {spec.name}}};
  for (const std::string& cidr : pod_cidrs) {
    config["ipRanges"].push_back(Json::array({Json{{"subnet", cidr}}}));  // a list for each family
  }
  return config;
}

Result<std::vector<std::string>> ParsePodCidrs(const std::string& text) {
  std::vector<std::string> cidrs = SplitAtCommas(text);
  for (const std::string& cidr : cidrs) {
    const size_t slash = cidr.find('/');
    const std::string address = cidr.substr(0, slash);
    unsigned bits = 0;
    const char* end = cidr.data() + cidr.size();
    const bool number = slash != std::string::npos && slash + 1 < cidr.size() &&
                        std::from_chars(cidr.data() + slash + 1, end, bits).ptr == end;
    const unsigned most = address.find(':') == std::string::npos ? 32 : 128;
    if (!number || bits > most || !IsIpAddress(address)) return Invalid("pod CIDR", Quoted(cidr) + " is none");
  }
  if (cidrs.size() > 8) return Invalid("pod CIDR", "more than eight");
  return cidrs;
}

Result<Bandwidth> BandwidthOf(const SandboxSpec& spec) {
  Bandwidth bandwidth;
  ASSIGN_OR_RETURN(bandwidth.ingress, RateOf(spec, "kubernetes.io/ingress-bandwidth"));
  ASSIGN_OR_RETURN(bandwidth.egress, RateOf(spec, "kubernetes.io/egress-bandwidth"));
  return bandwidth;
}

}  // namespace fermata::sandbox
