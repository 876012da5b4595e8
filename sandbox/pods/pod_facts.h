// What a manifest may ask of the node and of the running pod. Keeps no state; any thread.
#pragma once

#include "sandbox/pods/manifest_values.h"
#include "sandbox/types.h"

namespace fermata::sandbox::pods {

// Of the node alone: its name, addresses, processors and memory.
PodFacts NodeFacts();
// With those of a pod; the node's addresses where it has none of its own.
PodFacts FactsOf(const SandboxRecord& sandbox);

// The host's resolv.conf with what a manifest adds to it: servers and searches behind, options over those of the same
// name. Pure.
DnsConfig AddedToHosts(std::string_view resolv_conf, const DnsConfig& addition);

}  // namespace fermata::sandbox::pods
