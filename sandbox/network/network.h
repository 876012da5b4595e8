// Network: what gives a sandbox's network namespace its addresses. PodNetwork is the daemon's (pod_network.h);
// LoopbackNetwork is for who needs none: `lo` is up (pause sees to that) and nothing more.
//
// An attachment is a debt: recorded before Attach, paid by Detach, which succeeds when there is nothing.
// Implementations are thread-safe and may block; no lock of a caller's is held meanwhile.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "overlay/unpack_process.h"
#include "runtime/base/result.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

struct NetworkStatus {
  bool ready = false;
  std::string reason;  // CamelCase, e.g. NetworkPluginNotReady
  std::string message;
};

// What the engine lends.
struct NetworkHost {
  std::function<Result<std::unique_ptr<overlay::HelperGroup>>()> make_group;  // for one plugin each
};

class Network {
 public:
  Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  virtual ~Network() = default;

  // Before all else, once; `host` outlives End.
  virtual Result<> Start(const NetworkHost&) { return {}; }
  // At start, when it is known which sandboxes live: what others have left is taken down, in the background.
  virtual void Recover(const std::set<std::string>& /*sandboxes*/) {}
  // Nothing begins any more; what is under way is broken off and stays owed.
  virtual void End() {}

  // Never waits for a plugin.
  [[nodiscard]] virtual NetworkStatus Status() const = 0;
  // `pause_pid`: a process in the network namespace. Gives the addresses, the first one first.
  virtual Result<std::vector<std::string>> Attach(const SandboxRecord& sandbox, int pause_pid) = 0;
  // Never waits long: what cannot be taken down now is owed, and retried in the background.
  virtual Result<> Detach(const SandboxRecord& sandbox) = 0;
  // The address ranges of the node's pods, "CIDR[,CIDR]".
  virtual Result<> SetPodCidr(const std::string& /*cidrs*/) { return {}; }
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
