// Inflating of layers and archives: gzip (several members too) by ISA-L, zstd (several frames) by libzstd,
// or nothing. The kind is told by the first bytes, not by a media type: builders get that one wrong, and
// the digests of both sides are checked anyway.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "overlay/byte_source.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

// Against bombs; kInvalidArgument when one is passed.
struct InflateLimits {
  uint64_t max_output_bytes = uint64_t{64} << 30;
  uint64_t max_ratio = 1000;                       // of output to input, looked at behind ...
  uint64_t ratio_free_bytes = uint64_t{64} << 20;  // ... so many bytes of output
};

enum class CompressionKind : uint8_t { kNone, kGzip, kZstd };
CompressionKind CompressionOf(std::string_view first_bytes);  // needs four
// Of what begins at `offset` of a regular file.
Result<CompressionKind> FindCompression(int fd, uint64_t offset);

// A source of the inflated bytes of `input`, which stays the caller's and is read to its end.
// kInvalidArgument: damaged or cut short, or other data behind the end.
Result<std::unique_ptr<ByteSource>> Inflate(ByteSource& input, const InflateLimits& limits);

}  // namespace fermata::overlay
