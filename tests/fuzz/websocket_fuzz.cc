// WebSocket frames from a client, and the channels of their messages; the tunnel's messages joined are SPDY again.
#include "cri/streaming/remote_status.h"
#include "cri/streaming/spdy_connection.h"
#include "cri/streaming/websocket_protocol.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::cri::streaming {
namespace {

using fuzz::Check;

struct User : SpdyUser {
  bool OnStream(uint32_t, const SpdyHeaders&) override { return true; }
  void OnData(uint32_t, std::string_view) override {}
  void OnFin(uint32_t) override {}
  void OnReset(uint32_t) override {}
};

void ReadChannels(const WebSocketMessage& message) {
  for (const char* name : {"v5.channel.k8s.io", "v4.base64.channel.k8s.io"}) {
    const auto protocol = ChooseWebSocketProtocol({name}, Method::kExec);
    const auto read = ReadChannelMessage(*protocol, message.op, message.payload);
    if (!read) continue;
    ResizeReader().Read(read->data,
                        [](uint16_t columns, uint16_t rows) { Check(columns != 0 && rows != 0, "no size"); });
    const ChannelParts parts = WriteChannelMessage(*protocol, read->channel, read->data);
    const auto again =
        ReadChannelMessage(*protocol, parts.op, parts.head + (protocol->base64 ? parts.text : read->data));
    Check(again && again->data == read->data, "written again");
  }
}

// The messages' sizes and kinds.
std::string Run(std::string_view text, size_t step) {
  WebSocketParser parser;
  User user;
  SpdyConnection tunnel(user, 8, [](std::string_view, std::string_view) {});
  bool tunnel_good = true;
  std::string seen;
  for (size_t at = 0; at < text.size(); at += step) {
    std::string_view piece = text.substr(at, step);
    for (;;) {
      auto message = parser.Next(piece);
      if (!message) return seen + "error";
      if (!*message) break;
      Check((*message)->payload.size() <= kMaxWebSocketMessage, "too long");
      seen += std::to_string(static_cast<int>((*message)->op)) + ":" + std::to_string((*message)->payload.size()) + " ";
      ReadChannels(**message);
      tunnel_good = tunnel_good && tunnel.Feed((*message)->payload).has_value();
    }
  }
  return seen;
}

}  // namespace
}  // namespace fermata::cri::streaming

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata::cri::streaming;
  const std::string_view text = fermata::fuzz::TextOf(data, size);
  fermata::fuzz::Check(Run(text, text.size() + 1) == Run(text, 2), "pieces make a difference");
  return 0;
}
