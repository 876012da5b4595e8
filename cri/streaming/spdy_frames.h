// SPDY/3.1 as remote command and port-forward use it: frames out of bytes and into bytes, header blocks with their
// compression. No sockets, no streams; every length is checked before anything of it is kept. One thread.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::cri::streaming {

enum class SpdyType : uint16_t {
  kData = 0,  // not on the wire: a data frame has no type
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9,
};

inline constexpr uint8_t kSpdyFin = 1;
inline constexpr uint32_t kSpdyMaxStreamId = 0x7fffffff;
// Why a stream is reset.
inline constexpr uint32_t kSpdyProtocolError = 1;
inline constexpr uint32_t kSpdyRefusedStream = 3;
inline constexpr uint32_t kSpdyCancel = 5;

// What a peer may send (X-06 of the threat table).
struct SpdyLimits {
  static constexpr size_t kControlBytes = size_t{64} << 10;  // of a control frame
  static constexpr size_t kHeaders = 128;                    // in a block
  static constexpr size_t kHeaderBytes = size_t{16} << 10;   // of a name or a value
  static constexpr size_t kBlockBytes = size_t{64} << 10;    // of a block, inflated
  static constexpr size_t kSettings = 64;
};

using SpdyHeaders = std::map<std::string, std::string, std::less<>>;

// A frame, or a piece of a data frame: those are passed on as they come, only the last piece has the flags.
struct SpdyFrame {
  SpdyType type = SpdyType::kData;
  uint8_t flags = 0;
  uint32_t stream = 0;       // of data, SYN_*, RST, HEADERS
  uint32_t number = 0;       // RST: status; PING: id; GOAWAY: last good stream
  std::string_view payload;  // data; or the compressed header block
};

class SpdyParser {
 public:
  // Takes some of `bytes`, which it shortens, and gives the next frame; its payload lies in `bytes` or in the parser,
  // until the next call. nullopt: more is needed. kInvalidArgument: the peer does not speak the protocol.
  Result<std::optional<SpdyFrame>> Next(std::string_view& bytes);

 private:
  Result<> ReadHead();
  Result<std::optional<SpdyFrame>> NextData(std::string_view& bytes);
  Result<SpdyFrame> Control() const;

  std::string head_;    // of a frame, until its eight bytes are there
  std::string body_;    // of a control frame
  bool clear_ = false;  // body_ was given out
  bool in_frame_ = false;
  bool control_ = false;
  SpdyType type_ = SpdyType::kData;
  uint8_t flags_ = 0;
  uint32_t stream_ = 0;
  size_t left_ = 0;  // of the frame's bytes
};

// Inflates header blocks; the state is that of the whole connection.
class SpdyHeaderReader {
 public:
  SpdyHeaderReader();
  ~SpdyHeaderReader();
  SpdyHeaderReader(const SpdyHeaderReader&) = delete;
  SpdyHeaderReader& operator=(const SpdyHeaderReader&) = delete;
  // kInvalidArgument for a block that is none, or over the limits; the connection is of no use after that.
  Result<SpdyHeaders> Read(std::string_view block);

 private:
  Result<std::string> Inflate(std::string_view block);
  z_stream zlib_{};
};

// Deflates them.
class SpdyHeaderWriter {
 public:
  SpdyHeaderWriter();
  ~SpdyHeaderWriter();
  SpdyHeaderWriter(const SpdyHeaderWriter&) = delete;
  SpdyHeaderWriter& operator=(const SpdyHeaderWriter&) = delete;
  std::string Write(const SpdyHeaders& headers);

 private:
  z_stream zlib_{};
};

std::string SpdyDataHead(uint32_t stream, size_t length, uint8_t flags);
std::string SpdySynStream(uint32_t stream, std::string_view block, uint8_t flags);
std::string SpdySynReply(uint32_t stream, std::string_view block);
std::string SpdyReset(uint32_t stream, uint32_t status);
std::string SpdyPing(uint32_t id);
std::string SpdyGoAway(uint32_t last_good);

}  // namespace fermata::cri::streaming
