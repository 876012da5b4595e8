// UnpackLayer: one layer blob becomes a directory, checked on the way against size, blob digest and diff id.
// Keeps no state; several layers may be unpacked at once, each by one thread.
//
// This is the work itself, in the calling process. The daemon has it done by fermata-unpack (unpack_process.h), which
// is confined first; tests without root, and fuzzing, call it here.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "overlay/byte_source.h"
#include "overlay/disk_usage.h"
#include "overlay/layer_writer.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct LayerBlob {
  std::string digest;       // of the blob as it is stored
  uint64_t size_bytes = 0;  // of the blob
  std::string diff_id;      // digest of the tar in it
};

struct UnpackOptions {
  LayerLimits limits;
  const std::atomic<bool>* cancelled = nullptr;  // set by another thread: give up with kCancelled
  int frame_fd = -1;                             // where the frame of the tar goes (tar_frame.h); -1: nowhere
};

struct UnpackedLayer {
  TreeUsage usage;
  std::string digest, diff_id;  // as found; equal to what was asked for
};

// Unpacks `blob` from `source` into the empty directory `layer_dir`, which after a failure holds a part.
// kInvalidArgument: bytes that are not what `blob` says, or a hostile tar.
Result<UnpackedLayer> UnpackLayer(ByteSource& source, const LayerBlob& blob, int layer_dir,
                                  const UnpackOptions& options);

}  // namespace fermata::overlay
