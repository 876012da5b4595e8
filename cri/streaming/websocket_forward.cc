#include "cri/streaming/websocket_forward.h"

#include <algorithm>

#include "runtime/base/log.h"

namespace fermata::cri::streaming {

void WebSocketTunnel::OnMessage(WebSocketOp op, std::string_view payload) {
  if (op != WebSocketOp::kBinary || connection_ == nullptr) return;
  auto fed = forward_->Feed(payload);
  if (fed) return;
  log::info("streaming: {}", fed.error().message());
  forward_->GoAway();
  forward_->Close();
  connection_->Close(kWebSocketProtocolError, fed.error().message());
  connection_ = nullptr;
}

void WebSocketTunnel::OnClosed() {
  forward_->Close();
  connection_ = nullptr;
}

void WebSocketTunnel::CarryOut(std::string_view head, std::string_view body) {
  if (connection_ != nullptr) connection_->Send(WebSocketOp::kBinary, head, body);
}

void WebSocketTunnel::PauseCarrier(bool on) {
  if (connection_ != nullptr) connection_->PauseReading(on);
}

void WebSocketForward::Begin(std::shared_ptr<WebSocketConnection> connection) {
  connection_ = std::move(connection);
  if (request_.ports.empty()) return connection_->Close(kWebSocketNormal, "no port was asked for");
  forwards_.resize(request_.ports.size());
  for (uint32_t key = 0; key < forwards_.size(); ++key) {
    const uint16_t port = request_.ports[key];
    const char bytes[2] = {static_cast<char>(port & 0xff), static_cast<char>(port >> 8)};
    Send(2 * key, {bytes, sizeof bytes});
    Send(2 * key + 1, {bytes, sizeof bytes});
  }
  for (uint32_t key = 0; key < forwards_.size(); ++key) {
    forwards_[key] = std::make_shared<Forward>(connection_->executor(), key);
    forwards_[key]->Start(backend_, request_.sandbox, request_.ports[key], weak_from_this());
  }
}

void WebSocketForward::OnMessage(WebSocketOp op, std::string_view payload) {
  const auto message = ReadChannelMessage(protocol_, op, payload);
  if (!message || message->channel % 2 != 0) return;
  const size_t key = message->channel / 2;
  if (key >= forwards_.size() || forwards_[key] == nullptr) return;
  forwards_[key]->Write(message->data);
  UpdateReading();
}

void WebSocketForward::OnWritable() {
  for (const auto& forward : forwards_) {
    if (forward != nullptr) forward->Resume();
  }
}

void WebSocketForward::UpdateReading() {
  if (connection_ == nullptr) return;
  connection_->PauseReading(std::ranges::any_of(
      forwards_, [](const auto& forward) { return forward != nullptr && forward->waiting() > Forward::kMaxWaiting; }));
}

void WebSocketForward::OnClosed() {
  connection_ = nullptr;
  for (const auto& forward : forwards_) {
    if (forward != nullptr) forward->Close();
  }
  forwards_.clear();
}

void WebSocketForward::Send(uint32_t channel, std::string_view data) {
  if (connection_ == nullptr) return;
  const ChannelParts parts = WriteChannelMessage(protocol_, static_cast<uint8_t>(channel), data);
  connection_->Send(parts.op, parts.head, protocol_.base64 ? parts.text : data);
}

void WebSocketForward::OnForwardEof(uint32_t key) { End(key); }

void WebSocketForward::OnForwardFailed(uint32_t key, const std::string& why) {
  Send(2 * key + 1, why);
  End(key);
}

// When all of them are over so is the connection.
void WebSocketForward::End(uint32_t key) {
  if (key >= forwards_.size() || forwards_[key] == nullptr) return;
  forwards_[key]->Close();
  forwards_[key] = nullptr;
  if (std::ranges::any_of(forwards_, [](const auto& forward) { return forward != nullptr; })) return UpdateReading();
  if (connection_ != nullptr) connection_->Close(kWebSocketNormal, {});
  connection_ = nullptr;
}

}  // namespace fermata::cri::streaming
