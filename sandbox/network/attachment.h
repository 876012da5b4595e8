// Attachment: a pod's place in a network, as it is written down before anything is made of it; and the interface of
// what makes it, CNI plugins or the built-in network.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/result.h"

namespace fermata::sandbox {

inline constexpr const char* kInterfaceName = "eth0";

struct Attachment {
  std::string id;  // of the sandbox
  std::string interface = kInterfaceName;
  std::string pod;               // "name space/name", for people
  std::string kind;              // "cni" or "builtin"
  std::string netns;             // where the namespace is pinned
  std::string network;           // CNI: the configuration that was used
  std::string args;              // CNI_ARGS
  Json runtime_config;           // by capability
  Json result;                   // CNI: of ADD; null before
  std::vector<std::string> ips;  // the first one is the pod's
  bool owed = false;             // to be taken down
};

// Thread-safe; calls block, and hold no lock of the caller's.
class AttachmentBackend {
 public:
  AttachmentBackend() = default;
  AttachmentBackend(const AttachmentBackend&) = delete;
  AttachmentBackend& operator=(const AttachmentBackend&) = delete;
  virtual ~AttachmentBackend() = default;

  // Once, before all else: what was recorded before.
  virtual Result<> Start(const std::vector<Attachment>& /*recorded*/) { return {}; }
  // Fills in `ips` and `result`. What a failure leaves half made is taken down by Del.
  virtual Result<> Add(Attachment& attachment, int netns) = 0;
  // Succeeds when nothing is there, also when the namespace is gone.
  virtual Result<> Del(const Attachment& attachment) = 0;
  virtual Result<> Check(const Attachment& attachment) = 0;
  // What belongs to no one in `valid` goes, and with the last one what they share.
  virtual Result<> Collect(const std::vector<Attachment>& valid) = 0;
};

}  // namespace fermata::sandbox
