// What the built-in network needs of the node besides interfaces and rules: names, ranges, and settings in /proc/sys of
// the network namespace of the calling thread. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/network/ip_range.h"

namespace fermata::sandbox {

std::array<uint8_t, 6> BridgeMac(const std::string& instance);
bool HostHasIpv6();

// Packets between the bridge and the other interfaces, for the families of `ranges`; and by 127.0.0.1 to host ports.
// What is on already is left alone.
Result<> ForwardPackets(const std::string& bridge, const std::vector<IpRange>& ranges);

// As far as there is IPv6.
void DisableIpv6(const std::string& interface);

}  // namespace fermata::sandbox
