#include "cri/streaming/websocket_command.h"

#include <utility>

namespace fermata::cri::streaming {

void WebSocketCommand::Begin(std::shared_ptr<WebSocketConnection> connection) {
  connection_ = std::move(connection);
  // An empty message first, on the lowest channel that we write to: clients wait for it.
  Send(request().want_stdout ? kChannelStdout : request().want_stderr ? kChannelStderr : kChannelError, {});
  Open();
}

void WebSocketCommand::OnMessage(WebSocketOp op, std::string_view payload) {
  const auto message = ReadChannelMessage(protocol_, op, payload);
  if (!message) return;
  switch (message->channel) {
    case kChannelStdin:
      return Input(message->data);
    case kChannelResize:
      return ResizeBytes(message->data);
    case kChannelClose:
      if (protocol_.half_close && message->data == std::string_view("\0", 1)) InputEnd();
      return;
    default:
      return;
  }
}

void WebSocketCommand::OnClosed() {
  connection_ = nullptr;
  Leave();
}

void WebSocketCommand::Send(uint8_t channel, std::string_view data) {
  if (connection_ == nullptr) return;
  const ChannelParts parts = WriteChannelMessage(protocol_, channel, data);
  connection_->Send(parts.op, parts.head, protocol_.base64 ? parts.text : data);
}

void WebSocketCommand::OnOutput(bool is_error, std::string_view data) {
  if (is_error ? request().want_stderr : request().want_stdout) Send(is_error ? kChannelStderr : kChannelStdout, data);
}

void WebSocketCommand::PauseInput(bool on) {
  if (connection_ != nullptr) connection_->PauseReading(on);
}

void WebSocketCommand::Finish(const SessionEnd& end) {
  const std::string status = protocol_.status ? StatusJson(end) : StatusText(end);
  if (!status.empty()) Send(kChannelError, status);
  if (const auto connection = std::exchange(connection_, nullptr)) connection->Close(kWebSocketNormal, {});
}

}  // namespace fermata::cri::streaming
