// SpdyConnection: the streams of one SPDY/3.1 connection that a client has opened. Bytes go in by Feed and out by a
// function, so that it runs over TCP and inside WebSocket messages alike. No sockets. One thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "cri/streaming/spdy_frames.h"

namespace fermata::cri::streaming {

class SpdyUser {
 public:
  virtual ~SpdyUser() = default;
  // A new stream. False refuses it; else it has been answered when the next call comes.
  virtual bool OnStream(uint32_t id, const SpdyHeaders& headers) = 0;
  virtual void OnData(uint32_t id, std::string_view data) = 0;
  virtual void OnFin(uint32_t id) = 0;    // the client has no more data for it
  virtual void OnReset(uint32_t id) = 0;  // it is gone
};

class SpdyConnection {
 public:
  using Out = std::function<void(std::string_view head, std::string_view body)>;

  SpdyConnection(SpdyUser& user, size_t max_streams, Out out)
      : user_(user), max_streams_(max_streams), out_(std::move(out)) {}

  // Bytes of the client. After an error the connection is to be closed.
  Result<> Feed(std::string_view bytes);
  // To a stream that is open; nothing happens to one that is not.
  void Send(uint32_t id, std::string_view data);
  void Fin(uint32_t id);
  void Reset(uint32_t id);
  void GoAway() { out_(SpdyGoAway(last_), {}); }
  [[nodiscard]] size_t open() const { return streams_.size(); }

 private:
  struct Stream {
    bool our_end = false, their_end = false;
  };
  Result<> OnFrame(const SpdyFrame& frame);
  Result<> OnSynStream(const SpdyFrame& frame);
  Result<> OnDataFrame(const SpdyFrame& frame);
  void OnTheirEnd(uint32_t id);

  SpdyUser& user_;
  size_t max_streams_;
  Out out_;
  SpdyParser parser_;
  SpdyHeaderReader reader_;
  SpdyHeaderWriter writer_;
  std::map<uint32_t, Stream> streams_;
  uint32_t last_ = 0;  // the newest that the client has opened
};

// The streams that a client may have open at once: of a remote command, and of port-forward (two a connection).
inline constexpr size_t kMaxCommandStreams = 8;
inline constexpr size_t kMaxForwardStreams = 256;

}  // namespace fermata::cri::streaming
