// Forward: one TCP connection into a pod, for one client of port-forward. First 127.0.0.1, then ::1, of the pod's
// network namespace: its sockets come from the pod's monitor. Owns the connection. All calls on one executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cri/streaming/backend.h"

namespace fermata::cri::streaming {

namespace asio = boost::asio;

class ForwardClient {
 public:
  virtual ~ForwardClient() = default;
  [[nodiscard]] virtual bool HasRoom(uint32_t key) const = 0;
  virtual void OnForwardData(uint32_t key, std::string_view data) = 0;
  virtual void OnForwardEof(uint32_t key) = 0;  // the pod sends no more
  virtual void OnForwardRoom(uint32_t key) = 0;
  // No connection: why. The last call.
  virtual void OnForwardFailed(uint32_t key, const std::string& why) = 0;
};

class Forward : public std::enable_shared_from_this<Forward> {
 public:
  static constexpr size_t kMaxWaiting = size_t{1} << 20;  // of the client's data; then it should wait

  // `key` is the client's name for it.
  Forward(const asio::any_io_executor& executor, uint32_t key) : executor_(executor), key_(key), socket_(executor) {}

  void Start(Backend& backend, const sandbox::SandboxId& pod, uint16_t port, std::weak_ptr<ForwardClient> client);
  void Write(std::string_view data);
  void WriteEnd();
  void Resume() { Read(); }
  void Close();
  [[nodiscard]] size_t waiting() const { return next_.size() + writing_.size(); }

 private:
  void OnSockets(Result<std::vector<UniqueFd>> sockets);
  void ConnectNext(std::string why);
  void Fail(const std::string& why);
  void Read();
  void OnRead(const boost::system::error_code& error, size_t bytes);
  void WriteNext();
  void OnWritten(const boost::system::error_code& error);

  asio::any_io_executor executor_;
  uint32_t key_;
  asio::ip::tcp::socket socket_;
  std::vector<UniqueFd> candidates_;
  bool tried_v4_ = false;
  std::weak_ptr<ForwardClient> client_;
  std::string pod_;
  uint16_t port_ = 0;
  std::vector<char> buffer_;
  std::string next_, writing_;
  bool connected_ = false;
  bool reading_ = false;
  bool at_end_ = false;
  bool write_end_ = false;
  bool full_ = false;
  bool closed_ = false;
};

}  // namespace fermata::cri::streaming
