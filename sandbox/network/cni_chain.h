// A CNI network's plugins one after the other, as the specification's section 4 has it: ADD forwards, DEL backwards,
// results handed on. Keeps no state; any thread; the calling thread waits.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sandbox/network/cni_config.h"
#include "sandbox/network/cni_plugin.h"
#include "sandbox/network/cni_result.h"

namespace fermata::sandbox {

// One pod's interface in one network.
struct CniAttachment {
  std::string id;         // of the container, in CNI's words
  std::string netns;      // a path; empty: it is gone (DEL only)
  std::string interface;  // "eth0"
  std::string args;       // CNI_ARGS
  Json runtime_config;    // by capability; a plugin gets those that it asks for
  Json previous;          // the result of ADD; null: unknown
};

using CniDeadline = std::chrono::steady_clock::time_point;

class CniChain {
 public:
  CniChain(const CniPlugins& plugins, const CniNetwork& network) : plugins_(plugins), network_(network) {}

  // After a failure Del is owed for the whole chain.
  Result<CniResult> Add(const CniAttachment& attachment, CniDeadline deadline);
  // Ends at the first failure, as the specification has it: the address stays taken until all before it is gone.
  Result<> Del(const CniAttachment& attachment, CniDeadline deadline);
  // Succeeds without a plugin's word where the network knows no such command.
  Result<> Check(const CniAttachment& attachment, CniDeadline deadline);
  Result<> Status(CniDeadline deadline);
  // `valid`: container ids and interfaces that are in use. Every plugin is called; the first failure is given.
  Result<> Gc(const std::vector<std::pair<std::string, std::string>>& valid, CniDeadline deadline);

 private:
  [[nodiscard]] std::string ConfigFor(const CniPluginConfig& plugin, const Json& runtime_config,
                                      const Json& previous) const;

  const CniPlugins& plugins_;
  const CniNetwork& network_;
};

}  // namespace fermata::sandbox
