// A client of the streaming server that sends what a test wants, byte for byte. Blocking, with a deadline.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <string>
#include <string_view>

#include "cri/streaming/spdy_frames.h"
#include "runtime/base/unique_fd.h"
#include "tests/fixtures/time_scale.h"

namespace fermata::testing {

class RawClient {
 public:
  explicit RawClient(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto limit = Scaled(std::chrono::seconds(20));
    const timeval deadline{std::chrono::duration_cast<std::chrono::seconds>(limit).count(), 0};
    (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    connected_ = ::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int fd() const { return socket_.get(); }
  bool Send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }
  // Until the peer closes.
  std::string ReadAll() {
    std::string all = std::move(rest_);
    rest_.clear();
    for (std::string piece = ReadSome(); !piece.empty(); piece = ReadSome()) all += piece;
    return all;
  }
  // The head of an HTTP answer; what follows it stays for the next read.
  std::string ReadHead() {
    std::string all;
    for (;;) {
      const size_t end = all.find("\r\n\r\n");
      if (end != std::string::npos) {
        rest_ = all.substr(end + 4);
        return all.substr(0, end + 4);
      }
      const std::string piece = ReadSome();
      if (piece.empty()) return all;
      all += piece;
    }
  }
  std::string ReadSome() {
    if (!rest_.empty()) return std::exchange(rest_, {});
    char buffer[16384];
    const ssize_t count = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : "";
  }
  // What a SPDY connection for a remote command begins with.
  static std::string SpdyRequest(const std::string& path, const std::string& protocol = "v4.channel.k8s.io") {
    return "POST " + path +
           " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
           "X-Stream-Protocol-Version: " +
           protocol + "\r\nContent-Length: 0\r\n\r\n";
  }
  static std::string WebSocketRequest(const std::string& path, const std::string& protocol) {
    return "GET " + path +
           " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
           (protocol.empty() ? "" : "Sec-WebSocket-Protocol: " + protocol + "\r\n") + "\r\n";
  }

 private:
  UniqueFd socket_;
  bool connected_ = false;
  std::string rest_;
};

}  // namespace fermata::testing
