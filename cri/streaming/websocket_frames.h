// WebSocket messages out of a client's bytes and into ours (RFC 6455, the server's side). No sockets; every length is
// checked before anything of it is kept. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::cri::streaming {

enum class WebSocketOp : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

// Of a message, in one frame or several (X-06 of the threat table).
inline constexpr size_t kMaxWebSocketMessage = size_t{1} << 20;

// Why a connection is closed.
inline constexpr uint16_t kWebSocketNormal = 1000;
inline constexpr uint16_t kWebSocketProtocolError = 1002;
inline constexpr uint16_t kWebSocketBadText = 1007;
inline constexpr uint16_t kWebSocketTooBig = 1009;
inline constexpr uint16_t kWebSocketInternalError = 1011;

struct WebSocketMessage {
  WebSocketOp op = WebSocketOp::kBinary;  // never kContinuation
  std::string payload;
};

class WebSocketParser {
 public:
  // Takes some of `bytes`, which it shortens, and gives the next message; nullopt: more is needed. kInvalidArgument:
  // the peer breaks the protocol, and close_code() says how.
  Result<std::optional<WebSocketMessage>> Next(std::string_view& bytes);
  [[nodiscard]] uint16_t close_code() const { return close_code_; }

 private:
  Error Wrong(uint16_t code, std::string_view what);
  [[nodiscard]] size_t HeadBytes() const;  // as far as it can be told yet
  Result<> ReadHead();
  Result<std::optional<WebSocketMessage>> EndFrame();

  std::string head_;
  bool in_frame_ = false;
  bool fin_ = false;
  WebSocketOp op_ = WebSocketOp::kBinary;
  unsigned char mask_[4] = {};
  size_t length_ = 0, done_ = 0;  // of the frame
  std::string control_;           // payload of a control frame, which may come between two pieces of a message
  WebSocketOp message_op_ = WebSocketOp::kContinuation;  // that of the message begun; kContinuation: none is
  std::string message_;
  uint16_t close_code_ = kWebSocketProtocolError;
};

// What stands before `length` bytes of a message of ours.
std::string WebSocketHead(WebSocketOp op, size_t length);
// The payload of a close frame.
std::string WebSocketClose(uint16_t code, std::string_view reason);
// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string WebSocketAccept(std::string_view key);

}  // namespace fermata::cri::streaming
