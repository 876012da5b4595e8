// Network interfaces of the network namespace of a process, with their counters. No state; any thread, and none enters
// the namespace: the kernel shows it in /proc/PID/net/dev (proc_pid_net(5)).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::sandbox::stats {

struct TrafficCounters {
  uint64_t bytes = 0, packets = 0, errors = 0, dropped = 0;
  bool operator==(const TrafficCounters&) const = default;
};

struct Interface {
  std::string name;
  TrafficCounters received, sent;
  bool operator==(const Interface&) const = default;
};

// `lo` is left out where there is another one: what a pod says to itself is no traffic. What is not understood is
// skipped.
std::vector<Interface> ParseNetDev(std::string_view text);

// `process`: a descriptor of /proc/PID, which stands for that process and never for a later one of the same number.
// kNotFound when it has ended.
Result<std::vector<Interface>> ReadInterfaces(int process);

// The interface that kubelet means by the pod's: eth0, else the first; nullptr: there is none.
const Interface* DefaultInterface(const std::vector<Interface>& interfaces);

}  // namespace fermata::sandbox::stats
