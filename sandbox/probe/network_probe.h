// What the probes over the network share: where they connect to, and by when they have to be done.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "sandbox/probe/prober.h"
#include "sandbox/probe/transfer_loop.h"

namespace fermata::sandbox::probe {

struct Destination {
  std::string host;                  // a name or address, without brackets
  std::shared_ptr<UniqueFd> socket;  // of the pod's network namespace; nullptr: the node's own
};
using DestinationDone = std::function<void(Result<Destination>)>;

struct NetworkRun {
  TransferLoop* loop = nullptr;
  std::chrono::steady_clock::time_point deadline;
  // Finds where one connection goes; the next one asks again.
  std::function<void(DestinationDone)> find;
};

// "host:port", with the brackets that an IPv6 address needs.
inline std::string HostAndPort(const std::string& host, int port) {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace fermata::sandbox::probe
