// Session: the daemon's side of what goes on with a process in its monitor: output to a client, input from it, its end.
// The same for every transport. Owns the session's socket. All calls on one executor.
//
// The client says whether it has room; while it has none nothing is read, and the monitor does what is right for an
// exec (the process waits) or for an attachment (cut off when it lies too far behind).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::cri::streaming {

namespace asio = boost::asio;

// How it ended: with an exit code, or because of an error.
struct SessionEnd {
  std::optional<int> exit_code;
  std::string error;  // if there is no exit code
};

class SessionClient {
 public:
  virtual ~SessionClient() = default;
  [[nodiscard]] virtual bool HasRoom() const = 0;
  virtual void OnOutput(bool is_error, std::string_view data) = 0;
  // The input has been passed on, but for a little.
  virtual void OnInputRoom() = 0;
  // The last call.
  virtual void OnSessionEnd(const SessionEnd& end) = 0;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  // Beyond this a client's input should be waited with.
  static constexpr size_t kMaxInput = size_t{1} << 20;

  Session(const asio::any_io_executor& executor, UniqueFd socket);

  // From now on `client` is told, until the end or Close.
  void Start(const std::shared_ptr<SessionClient>& client);
  void Input(std::string_view data);
  void InputEnd();
  void Resize(uint16_t columns, uint16_t rows);
  [[nodiscard]] size_t input_waiting() const { return input_bytes_; }
  // The client has room again.
  void Resume() { Read(); }
  // The client has left.
  void Close();

 private:
  using Clock = std::chrono::steady_clock;

  void Read();
  void ReadPackets();
  void OnPacket(std::string_view packet);
  void WatchQuiet();
  void End(const SessionEnd& end);
  void Send(std::string packet);
  void SendPackets();

  asio::posix::stream_descriptor socket_;
  asio::steady_timer quiet_;
  std::weak_ptr<SessionClient> client_;
  std::vector<char> buffer_;
  std::deque<std::string> input_;
  size_t input_bytes_ = 0;
  std::optional<int> exit_code_;
  Clock::time_point exited_at_, last_output_;
  bool reading_ = false;
  bool sending_ = false;
  bool input_full_ = false;
  bool closed_ = false;
};

}  // namespace fermata::cri::streaming
