#include "cri/streaming/websocket_protocol.h"

#include <array>

#include "cri/streaming/base64.h"

namespace fermata::cri::streaming {
namespace {

struct Row {
  std::string_view name;
  bool base64, status, half_close, tunnel;
  bool command, forward;  // which methods have it
};
constexpr std::array<Row, 7> kRows = {{
    {"v5.channel.k8s.io", false, true, true, false, true, false},
    {"v4.channel.k8s.io", false, true, false, false, true, true},
    {"channel.k8s.io", false, false, false, false, true, false},
    {"v4.base64.channel.k8s.io", true, true, false, false, true, true},
    {"base64.channel.k8s.io", true, false, false, false, true, false},
    {"SPDY/3.1+portforward.k8s.io", false, false, false, true, false, true},
    {"", false, false, false, false, true, true},
}};

}  // namespace

std::optional<WebSocketProtocol> ChooseWebSocketProtocol(const std::vector<std::string>& offered, Method method) {
  const std::vector<std::string> none = {""};
  for (const std::string& name : offered.empty() ? none : offered) {
    for (const Row& row : kRows) {
      if (row.name != name || !(method == Method::kPortForward ? row.forward : row.command)) continue;
      return WebSocketProtocol{name, row.base64, row.status, row.half_close, row.tunnel};
    }
  }
  return std::nullopt;
}

std::optional<ChannelMessage> ReadChannelMessage(const WebSocketProtocol& protocol, WebSocketOp op,
                                                 std::string_view payload) {
  if (payload.empty() || op != (protocol.base64 ? WebSocketOp::kText : WebSocketOp::kBinary)) return std::nullopt;
  const auto first = static_cast<uint8_t>(payload.front());
  payload.remove_prefix(1);
  if (!protocol.base64) return ChannelMessage{first, std::string(payload)};
  if (first < '0') return std::nullopt;
  auto data = FromBase64(payload);
  if (!data) return std::nullopt;
  return ChannelMessage{static_cast<uint8_t>(first - '0'), std::move(*data)};
}

ChannelParts WriteChannelMessage(const WebSocketProtocol& protocol, uint8_t channel, std::string_view data) {
  if (!protocol.base64) return {WebSocketOp::kBinary, std::string(1, static_cast<char>(channel)), {}};
  return {WebSocketOp::kText, std::string(1, static_cast<char>('0' + channel)), Base64(data)};
}

}  // namespace fermata::cri::streaming
