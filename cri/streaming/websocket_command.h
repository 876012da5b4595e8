// WebSocketCommand: exec and attach over WebSocket, all versions of channel.k8s.io.
#pragma once

#include <memory>

#include "cri/streaming/remote_command.h"
#include "cri/streaming/websocket_connection.h"
#include "cri/streaming/websocket_protocol.h"

namespace fermata::cri::streaming {

class WebSocketCommand final : public RemoteCommand, public WebSocketUser {
 public:
  WebSocketCommand(asio::any_io_executor executor, Backend& backend, StreamRequest request, WebSocketProtocol protocol)
      : RemoteCommand(std::move(executor), backend, std::move(request)), protocol_(std::move(protocol)) {}
  // The connection keeps us, and we it, until one of us ends.
  void Begin(std::shared_ptr<WebSocketConnection> connection);

  void OnMessage(WebSocketOp op, std::string_view payload) override;
  void OnWritable() override { Resume(); }
  void OnClosed() override;

  [[nodiscard]] bool HasRoom() const override { return connection_ != nullptr && connection_->wire().has_room(); }
  void OnOutput(bool is_error, std::string_view data) override;

 private:
  void Send(uint8_t channel, std::string_view data);
  void PauseInput(bool on) override;
  void Finish(const SessionEnd& end) override;

  WebSocketProtocol protocol_;
  std::shared_ptr<WebSocketConnection> connection_;
};

}  // namespace fermata::cri::streaming
