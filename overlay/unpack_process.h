// Unpacking in a process of its own (fermata-unpack, overlay/unpacker/): what decodes bytes of strangers, and may hang,
// runs confined and is killed. Keeps no state; any thread, several at once; the calling thread waits.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "overlay/cancellation.h"
#include "overlay/unpack.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

// The control group of one helper process, made and implemented by an upper layer. Its destructor ends what lives in
// it and removes it.
class HelperGroup {
 public:
  HelperGroup() = default;
  HelperGroup(const HelperGroup&) = delete;
  HelperGroup& operator=(const HelperGroup&) = delete;
  virtual ~HelperGroup() = default;
  [[nodiscard]] virtual int fd() const = 0;  // of its directory
};

struct Unpacker {
  UniqueFd program;                                                  // fermata-unpack as a sealed memory file
  std::function<Result<std::unique_ptr<HelperGroup>>()> make_group;  // empty: the process stays in our group
  std::chrono::milliseconds deadline = std::chrono::minutes(10);     // without any progress
};

struct UnpackTarget {
  int layer_dir = -1;  // an empty directory
  int frame_fd = -1;   // an empty file
  LayerLimits limits;
};

// As UnpackLayer. The process reads `source` itself where that has an extent, else a thread feeds it. On return the
// process is gone and reaped. kDeadlineExceeded: no progress; kCancelled: at once after `cancellation`;
// kResourceExhausted: its limits of memory or time.
Result<TreeUsage> UnpackConfined(const Unpacker& unpacker, ByteSource& source, const LayerBlob& blob,
                                 const UnpackTarget& target, const Cancellation& cancellation);

}  // namespace fermata::overlay
