// The subprotocols of remote command and port-forward over WebSocket: their names, and how a message carries its
// channel. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cri/streaming/token_store.h"
#include "cri/streaming/websocket_frames.h"

namespace fermata::cri::streaming {

struct WebSocketProtocol {
  std::string name;         // as offered and echoed; empty: none was offered
  bool base64 = false;      // text messages: a digit for the channel, then base64
  bool status = false;      // the end is told as a Status object; else as text
  bool half_close = false;  // v5
  bool tunnel = false;      // SPDY inside binary messages
};

// The first of the client's that this method has; with none offered the oldest. nullopt: nothing in common.
std::optional<WebSocketProtocol> ChooseWebSocketProtocol(const std::vector<std::string>& offered, Method method);

enum WebSocketChannel : uint8_t {
  kChannelStdin = 0,
  kChannelStdout = 1,
  kChannelStderr = 2,
  kChannelError = 3,
  kChannelResize = 4,
  kChannelClose = 255,
};

struct ChannelMessage {
  uint8_t channel = 0;
  std::string data;
};
// nullopt: not a message of this protocol; to be passed over.
std::optional<ChannelMessage> ReadChannelMessage(const WebSocketProtocol& protocol, WebSocketOp op,
                                                 std::string_view payload);
// What a message for a channel begins with and its data, as they go out.
struct ChannelParts {
  WebSocketOp op = WebSocketOp::kBinary;
  std::string head;
  std::string text;  // the data in base64, where the protocol wants that
};
ChannelParts WriteChannelMessage(const WebSocketProtocol& protocol, uint8_t channel, std::string_view data);

}  // namespace fermata::cri::streaming
