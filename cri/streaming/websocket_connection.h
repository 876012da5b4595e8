// WebSocketConnection: messages of one client over a wire. Answers pings, also while whoever uses it is busy or
// blocked, and closes as RFC 6455 has it. All calls on the wire's executor.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cri/streaming/websocket_frames.h"
#include "cri/streaming/wire.h"

namespace fermata::cri::streaming {

class WebSocketUser {
 public:
  virtual ~WebSocketUser() = default;
  virtual void OnMessage(WebSocketOp op, std::string_view payload) = 0;  // text or binary
  virtual void OnWritable() = 0;
  virtual void OnClosed() = 0;  // the client is gone; the last call
};

class WebSocketConnection final : public WireUser {
 public:
  WebSocketConnection(std::shared_ptr<Wire> wire, std::shared_ptr<WebSocketUser> user)
      : wire_(std::move(wire)), user_(std::move(user)) {}

  // One message of two pieces.
  void Send(WebSocketOp op, std::string_view head, std::string_view body = {});
  // Ends it from our side; the user is told nothing more.
  void Close(uint16_t code, std::string_view reason);
  void PauseReading(bool on);
  [[nodiscard]] const Wire& wire() const { return *wire_; }
  [[nodiscard]] asio::any_io_executor executor() { return wire_->executor(); }

  void OnBytes(std::string_view bytes) override;
  void OnRoom() override;
  void OnEnd() override;

 private:
  void OnOne(const WebSocketMessage& message);
  void UpdateReading() { wire_->PauseReading(paused_ || wire_->flooded()); }

  std::shared_ptr<Wire> wire_;
  std::shared_ptr<WebSocketUser> user_;  // until it is over
  WebSocketParser parser_;
  bool paused_ = false;
  bool closed_ = false;
};

}  // namespace fermata::cri::streaming
