#include "cri/streaming/websocket_connection.h"

#include <utility>

#include "runtime/base/log.h"

namespace fermata::cri::streaming {

void WebSocketConnection::Send(WebSocketOp op, std::string_view head, std::string_view body) {
  if (closed_) return;
  std::string begin = WebSocketHead(op, head.size() + body.size());
  wire_->Write(begin.append(head), body);
}

void WebSocketConnection::Close(uint16_t code, std::string_view reason) {
  if (closed_) return;
  Send(WebSocketOp::kClose, WebSocketClose(code, reason));
  closed_ = true;
  user_.reset();
  wire_->Finish();
}

void WebSocketConnection::PauseReading(bool on) {
  paused_ = on;
  UpdateReading();
}

void WebSocketConnection::OnBytes(std::string_view bytes) {
  while (!closed_) {
    auto message = parser_.Next(bytes);
    if (!message) {
      log::info("streaming: {}", message.error().message());
      const auto user = user_;
      Close(parser_.close_code(), message.error().message());
      if (user != nullptr) user->OnClosed();
      return;
    }
    if (*message) {
      OnOne(**message);
    } else if (bytes.empty()) {
      break;
    }
  }
  if (!closed_) UpdateReading();
}

void WebSocketConnection::OnOne(const WebSocketMessage& message) {
  const auto user = user_;
  switch (message.op) {
    case WebSocketOp::kPing:
      return Send(WebSocketOp::kPong, message.payload);
    case WebSocketOp::kPong:
      return;
    case WebSocketOp::kClose:
      Close(kWebSocketNormal, {});
      if (user != nullptr) user->OnClosed();
      return;
    default:
      if (user != nullptr) user->OnMessage(message.op, message.payload);
  }
}

void WebSocketConnection::OnRoom() {
  UpdateReading();
  if (const auto user = user_) user->OnWritable();
}

void WebSocketConnection::OnEnd() {
  closed_ = true;
  if (const auto user = std::exchange(user_, nullptr)) user->OnClosed();
}

}  // namespace fermata::cri::streaming
