// Server: where kubelet, crictl and kubectl come with the URLs that Exec, Attach and PortForward give. Two threads of
// its own serve all connections; nothing on them blocks. Owns the listening socket and the threads. Thread-safe.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cri/streaming/http_connection.h"
#include "cri/streaming/tls_files.h"
#include "cri/streaming/token_store.h"

namespace fermata::cri::streaming {

struct ServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;                     // 0: any
  std::string tls_certificate, tls_key;  // PEM files; empty: plain HTTP
  std::string client_ca;                 // clients need a certificate of these authorities
  std::chrono::seconds creation{30};     // for a client to make its streams
  std::chrono::seconds idle{4 * 3600};   // without a byte in either direction
};

class Server {
 public:
  // Listens and serves. `backend` outlives it.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options, Backend& backend);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The absolute URL, good for one connection within a minute. kResourceExhausted when too many are open.
  Result<std::string> UrlFor(StreamRequest request);
  // Ends all connections and the threads. Idempotent.
  void Stop();

  // For sessions of other transports: a strand of the server's threads.
  [[nodiscard]] asio::any_io_executor NewExecutor();
  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] size_t connections() const { return connections_; }

 private:
  Server(const ServerOptions& options, Backend& backend);
  Result<> Listen();
  void Accept();
  void OnAccepted(const ErrorCodeOf& error, asio::ip::tcp::socket socket);
  void AddWire(const std::shared_ptr<Wire>& wire);

  ServerOptions options_;
  TokenStore tokens_;
  HttpContext context_;
  std::optional<TlsFiles> tls_;
  std::atomic<size_t> connections_ = 0;
  std::mutex mutex_;  // guards wires_ and stopped_
  std::vector<std::weak_ptr<Wire>> wires_;
  bool stopped_ = false;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::string base_;  // "http://127.0.0.1:1234"
  uint16_t port_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace fermata::cri::streaming
