// The frame of a layer's tar: all of its bytes but the contents of files, which the unpacked layer has. With both the
// tar can be made again byte for byte, so that an image that is exported or pushed keeps its id.
//
// A frame is a zstd stream of records (tar_frame.cc). One thread at a time; descriptors stay the caller's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "overlay/byte_source.h"
#include "runtime/base/result.h"

struct ZSTD_CCtx_s;

namespace fermata::overlay {

// Passes a tar on to who unpacks it, and writes its frame. Offsets are in the tar.
class TarFrameWriter : public ByteSource {
 public:
  // -1: no frame, only passes on.
  TarFrameWriter(ByteSource& inner, int frame_fd);
  ~TarFrameWriter() override;

  Result<size_t> Read(std::span<char> buffer) override;

  // The bytes from `offset` on, `size` of them, are the content of the file `path` of the layer.
  Result<> File(uint64_t offset, uint64_t size, const std::string& path);
  // What is read is to the end of the tar, and of its padding.
  Result<> Finish();

 private:
  Result<> Raw(uint64_t end);  // up to there
  Result<> Compress(std::string_view data, bool last = false);

  ByteSource& inner_;
  const int frame_fd_;
  std::unique_ptr<ZSTD_CCtx_s, void (*)(ZSTD_CCtx_s*)> context_;
  std::string compressed_;
  std::string pending_;       // read, and not yet known to be frame or content; begins at settled_
  uint64_t settled_ = 0;      // all before is written
  uint64_t content_end_ = 0;  // the content of the last file goes up to there
};

// The tar of a layer from its frame and its files below `layer_dir`. kInvalidArgument where they do not fit together:
// who reads compares the digest in any case, because a file may have another content.
class TarFrameReader : public ByteSource {
 public:
  TarFrameReader(int frame_fd, int layer_dir);
  ~TarFrameReader() override;
  Result<size_t> Read(std::span<char> buffer) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fermata::overlay
