// SpdyForward: port-forward over SPDY, protocol portforward.k8s.io, on a wire or inside the messages of a WebSocket.
// The client makes two streams, error and data, for each connection; a pair that fails does not end the others.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>

#include "cri/streaming/forward.h"
#include "cri/streaming/spdy_connection.h"

namespace fermata::cri::streaming {

// What carries the bytes.
class ByteCarrier {
 public:
  virtual ~ByteCarrier() = default;
  virtual void CarryOut(std::string_view head, std::string_view body) = 0;
  [[nodiscard]] virtual bool CarrierHasRoom() const = 0;
  // So much waits that it can only be answers to a client that does not read them.
  [[nodiscard]] virtual bool CarrierIsFlooded() const = 0;
  virtual void PauseCarrier(bool on) = 0;
};

class SpdyForward final : public ForwardClient, private SpdyUser, public std::enable_shared_from_this<SpdyForward> {
 public:
  // `carrier` outlives it, or calls Close before it goes.
  SpdyForward(asio::any_io_executor executor, Backend& backend, StreamRequest request, ByteCarrier& carrier,
              std::chrono::seconds pair_limit);

  // Bytes of the client; after an error the carrier is to be closed.
  Result<> Feed(std::string_view bytes);
  // The carrier has room again.
  void Resume();
  void Close();
  void GoAway() { spdy_.GoAway(); }

  [[nodiscard]] bool HasRoom(uint32_t key) const override;
  void OnForwardData(uint32_t key, std::string_view data) override;
  void OnForwardEof(uint32_t key) override;
  void OnForwardRoom(uint32_t key) override;
  void OnForwardFailed(uint32_t key, const std::string& why) override;

 private:
  struct Pair {
    uint32_t error = 0, data = 0;  // streams; 0: not there yet
    uint16_t port = 0;
    std::shared_ptr<Forward> forward;
    std::string early;  // data that came before its error stream
    bool early_end = false;
    std::unique_ptr<asio::steady_timer> timer;
  };
  using Pairs = std::map<uint32_t, Pair>;  // by request id

  bool OnStream(uint32_t id, const SpdyHeaders& headers) override;
  void OnData(uint32_t id, std::string_view data) override;
  void OnFin(uint32_t id) override;
  void OnReset(uint32_t id) override;
  void StartPair(uint32_t key, Pair& pair);
  void EndPair(uint32_t key);
  void EndAfter(uint32_t key, std::chrono::milliseconds limit, const std::string& why);
  Pairs::iterator PairOf(uint32_t stream);
  void UpdateReading();

  asio::any_io_executor executor_;
  Backend& backend_;
  StreamRequest request_;
  ByteCarrier* carrier_;
  std::chrono::seconds pair_limit_;
  SpdyConnection spdy_;
  Pairs pairs_;
  std::map<uint32_t, uint32_t> keys_;  // stream -> request id
};

}  // namespace fermata::cri::streaming
