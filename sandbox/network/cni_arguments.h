// What plugins are told of a pod besides the configuration: CNI_ARGS and the values of capabilities. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/result.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

// Annotations that ask for addresses, separated by commas, and a hardware address.
inline constexpr const char* kIpsAnnotation = "fermata/ips";
inline constexpr const char* kMacAnnotation = "fermata/mac";

// K8S_POD_NAMESPACE and its like. kInvalidArgument for a name that could add an argument of its own.
Result<std::string> CniArgs(const SandboxRecord& sandbox);

// portMappings, bandwidth, dns, ips, mac, aliases, ipRanges: those that the pod has. `pod_cidrs`: of the node.
Result<Json> CniRuntimeConfig(const SandboxRecord& sandbox, const std::string& network,
                              const std::vector<std::string>& pod_cidrs);

// "10.1.0.0/16,fd00::/64" into its parts; kInvalidArgument for what is none.
Result<std::vector<std::string>> ParsePodCidrs(const std::string& text);

// Bits a second that the annotations kubernetes.io/ingress-bandwidth and egress-bandwidth ask for; 0: no limit.
struct Bandwidth {
  int64_t ingress = 0, egress = 0;
};
Result<Bandwidth> BandwidthOf(const SandboxSpec& spec);

}  // namespace fermata::sandbox
