// Port-forward over WebSocket: the tunnel, whose messages carry the bytes of a SPDY connection, and the old form, in
// which each port of the request has a channel for data and one for an error.
#pragma once

#include <memory>
#include <vector>

#include "cri/streaming/forward.h"
#include "cri/streaming/spdy_forward.h"
#include "cri/streaming/websocket_connection.h"
#include "cri/streaming/websocket_protocol.h"

namespace fermata::cri::streaming {

class WebSocketTunnel final : public WebSocketUser, public ByteCarrier {
 public:
  WebSocketTunnel(const asio::any_io_executor& executor, Backend& backend, StreamRequest request,
                  std::chrono::seconds pair_limit)
      : forward_(std::make_shared<SpdyForward>(executor, backend, std::move(request), *this, pair_limit)) {}
  ~WebSocketTunnel() override { forward_->Close(); }
  void Begin(std::shared_ptr<WebSocketConnection> connection) { connection_ = std::move(connection); }

  void OnMessage(WebSocketOp op, std::string_view payload) override;
  void OnWritable() override { forward_->Resume(); }
  void OnClosed() override;

 private:
  void CarryOut(std::string_view head, std::string_view body) override;
  [[nodiscard]] bool CarrierHasRoom() const override { return connection_ && connection_->wire().has_room(); }
  [[nodiscard]] bool CarrierIsFlooded() const override { return connection_ && connection_->wire().flooded(); }
  void PauseCarrier(bool on) override;

  std::shared_ptr<SpdyForward> forward_;
  std::shared_ptr<WebSocketConnection> connection_;
};

class WebSocketForward final : public WebSocketUser,
                               public ForwardClient,
                               public std::enable_shared_from_this<WebSocketForward> {
 public:
  WebSocketForward(Backend& backend, StreamRequest request, WebSocketProtocol protocol)
      : backend_(backend), request_(std::move(request)), protocol_(std::move(protocol)) {}
  void Begin(std::shared_ptr<WebSocketConnection> connection);

  void OnMessage(WebSocketOp op, std::string_view payload) override;
  void OnWritable() override;
  void OnClosed() override;

  // The key is the port's place in the request.
  [[nodiscard]] bool HasRoom(uint32_t) const override { return connection_ && connection_->wire().has_room(); }
  void OnForwardData(uint32_t key, std::string_view data) override { Send(2 * key, data); }
  void OnForwardEof(uint32_t key) override;
  void OnForwardRoom(uint32_t) override { UpdateReading(); }
  void OnForwardFailed(uint32_t key, const std::string& why) override;

 private:
  void Send(uint32_t channel, std::string_view data);
  void End(uint32_t key);
  void UpdateReading();

  Backend& backend_;
  StreamRequest request_;
  WebSocketProtocol protocol_;
  std::shared_ptr<WebSocketConnection> connection_;
  std::vector<std::shared_ptr<Forward>> forwards_;  // nullptr: is over
};

}  // namespace fermata::cri::streaming
