// Network: what gives a sandbox's network namespace its addresses. CNI and the built-in network will implement
// it; LoopbackNetwork is what there is without either: `lo` is up (pause sees to that) and nothing more.
//
// An attachment is a debt: recorded before Attach, paid by Detach, which succeeds when there is nothing.
// Implementations are thread-safe and may block; no lock of a caller's is held meanwhile.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

struct NetworkStatus {
  bool ready = false;
  std::string reason;  // CamelCase, e.g. NetworkPluginNotReady
  std::string message;
};

class Network {
 public:
  Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  virtual ~Network() = default;

  // Never waits for a plugin.
  [[nodiscard]] virtual NetworkStatus Status() const = 0;
  // `pause_pid`: a process in the network namespace. Gives the addresses, the first one first.
  virtual Result<std::vector<std::string>> Attach(const SandboxRecord& sandbox, int pause_pid) = 0;
  virtual Result<> Detach(const SandboxRecord& sandbox) = 0;
};

class LoopbackNetwork : public Network {
 public:
  [[nodiscard]] NetworkStatus Status() const override {
    return {false, "NetworkPluginNotReady", "no CNI configuration: pods have a loopback interface only"};
  }
  Result<std::vector<std::string>> Attach(const SandboxRecord&, int) override { return std::vector<std::string>{}; }
  Result<> Detach(const SandboxRecord&) override { return {}; }
};

}  // namespace fermata::sandbox
