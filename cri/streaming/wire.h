// Wire: bytes from a client and to it, in order, with a count of those that wait. Ends a client that is idle for too
// long. Owns the connection; lives as long as something of it is under way. All calls on the connection's executor.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cri/streaming/byte_stream.h"

namespace fermata::cri::streaming {

// What is said to the user of a wire. No call comes after OnEnd.
class WireUser {
 public:
  virtual ~WireUser() = default;
  virtual void OnBytes(std::string_view bytes) = 0;
  virtual void OnRoom() = 0;  // less than kRoomBytes wait again
  virtual void OnEnd() = 0;   // the client has closed, is gone, or was idle for too long
};

class Wire : public std::enable_shared_from_this<Wire> {
 public:
  // Above this, producers should wait for OnRoom.
  static constexpr size_t kRoomBytes = size_t{256} << 10;
  static constexpr size_t kFloodBytes = size_t{1} << 20;

  // `ticket` is kept for as long as the wire lives.
  Wire(std::unique_ptr<ByteStream> stream, std::chrono::seconds idle, std::shared_ptr<void> ticket);

  // From now on bytes go to `user`, which the wire keeps; those in `first` were read already.
  void Start(std::shared_ptr<WireUser> user, std::string first);
  void Write(std::string_view head, std::string_view body = {});
  [[nodiscard]] size_t waiting() const { return next_.size() + writing_.size(); }
  [[nodiscard]] bool has_room() const { return waiting() < kRoomBytes; }
  // Beyond what producers that wait for room leave: answers to a client that asks and does not read.
  [[nodiscard]] bool flooded() const { return waiting() > kFloodBytes; }
  void PauseReading(bool on);
  // Sends what waits, then closes. The user is told nothing more.
  void Finish();
  // At once.
  void Abort();
  // At once, and the user is told.
  void End();

  [[nodiscard]] asio::any_io_executor executor() { return stream_->socket().get_executor(); }

 private:
  void Read();
  void OnRead(const ErrorCodeOf& error, size_t bytes);
  void Deliver(std::string_view bytes);
  void WriteNext();
  void OnWritten(const ErrorCodeOf& error);
  void WatchIdle();
  void Linger();
  void AbortAfter(std::chrono::seconds limit);

  std::shared_ptr<void> ticket_;
  std::unique_ptr<ByteStream> stream_;
  std::shared_ptr<WireUser> user_;
  std::chrono::seconds idle_;
  asio::steady_timer timer_;
  std::chrono::steady_clock::time_point last_;
  std::vector<char> buffer_;
  std::string next_, writing_;
  bool reading_ = false;
  bool delivering_ = false;
  bool paused_ = false;
  bool full_ = false;  // OnRoom is due
  bool finishing_ = false;
  bool closed_ = false;
};

}  // namespace fermata::cri::streaming
