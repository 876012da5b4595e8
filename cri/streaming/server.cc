#include "cri/streaming/server.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include "runtime/base/log.h"

namespace fermata::cri::streaming {
namespace {

using asio::ip::tcp;

constexpr size_t kThreads = 2;
constexpr size_t kMaxConnections = 4096;
constexpr auto kRetryAccept = std::chrono::milliseconds(100);  // when there are no descriptors left

// A peer that has vanished is found out in a minute, also when nothing is sent.
void SetSocketOptions(tcp::socket& socket) {
  ErrorCodeOf ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const std::pair<int, int> times[] = {{TCP_KEEPIDLE, 30}, {TCP_KEEPINTVL, 10}, {TCP_KEEPCNT, 3}};
  for (const auto& [option, value] : times) {
    (void)::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
  }
  (void)::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
}

}  // namespace

Server::Server(const ServerOptions& options, Backend& backend)
    : options_(options),
      context_{tokens_, backend, options.creation, options.idle,
               [this](const std::shared_ptr<Wire>& wire) { AddWire(wire); }},
      work_(asio::make_work_guard(io_)),
      acceptor_(io_),
      retry_(io_) {}

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, Backend& backend) {
  std::unique_ptr<Server> server(new Server(options, backend));
  if (!options.tls_certificate.empty() || !options.tls_key.empty()) {
    server->tls_.emplace(options.tls_certificate, options.tls_key, options.client_ca);
    RETURN_IF_ERROR(server->tls_->Current());
  } else if (!options.client_ca.empty()) {
    return Error::Make(ErrorCode::kInvalidArgument, "certificates of clients can be asked for only with TLS");
  }
  RETURN_IF_ERROR(server->Listen(), "streaming server");
  server->Accept();
  for (size_t i = 0; i < kThreads; ++i) server->threads_.emplace_back([raw = server.get()] { raw->io_.run(); });
  return server;
}

Server::~Server() { Stop(); }

Result<> Server::Listen() {
  ErrorCodeOf error;
  const auto address = asio::ip::make_address(options_.address, error);
  if (error) return Error::Make(ErrorCode::kInvalidArgument, options_.address, " is no IP address");
  tcp::endpoint endpoint(address, options_.port);
  const auto failed = [&](std::string_view what) {
    return Error::FromErrno(error.value(), what, " ", options_.address, ":", std::to_string(options_.port));
  };
  acceptor_.open(endpoint.protocol(), error);
  if (error) return failed("socket for");
  // A daemon that comes back finds its port again.
  acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (error) return failed("socket for");
  acceptor_.bind(endpoint, error);
  if (error) return failed("bind to");
  acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return failed("listen on");
  port_ = acceptor_.local_endpoint(error).port();
  // Clients are on this machine: they find a server that listens everywhere on loopback.
  auto shown = address;
  if (address.is_unspecified()) shown = asio::ip::make_address(address.is_v6() ? "::1" : "127.0.0.1");
  const std::string host = shown.is_v6() ? "[" + shown.to_string() + "]" : shown.to_string();
  base_ = (tls_ ? "https://" : "http://") + host + ":" + std::to_string(port_);
  return {};
}

Result<std::string> Server::UrlFor(StreamRequest request) {
  const std::string name(NameOf(request.method));
  ASSIGN_OR_RETURN(const std::string token, tokens_.Add(std::move(request)));
  return base_ + "/" + name + "/" + token;
}

asio::any_io_executor Server::NewExecutor() { return asio::make_strand(io_); }

void Server::Accept() {
  acceptor_.async_accept(asio::make_strand(io_), [this](const ErrorCodeOf& error, tcp::socket socket) {
    OnAccepted(error, std::move(socket));
  });
}

void Server::OnAccepted(const ErrorCodeOf& error, tcp::socket socket) {
  if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
  if (error) {
    log::error("streaming: accept: {}", error.message());
    retry_.expires_after(kRetryAccept);
    return retry_.async_wait([this](const ErrorCodeOf& cancelled) {
      if (!cancelled) Accept();
    });
  }
  if (connections_ < kMaxConnections) {
    ++connections_;
    std::shared_ptr<void> ticket(this, [](Server* server) { --server->connections_; });
    SetSocketOptions(socket);
    std::unique_ptr<ByteStream> stream;
    if (!tls_) {
      stream = PlainStream(std::move(socket));
    } else if (auto context = tls_->Current()) {
      stream = TlsStream(std::move(socket), *context);
    }
    if (stream != nullptr) {
      const auto executor = stream->socket().get_executor();
      auto connection = std::make_shared<HttpConnection>(context_, std::move(stream), std::move(ticket));
      asio::post(executor, [connection] { connection->Start(); });
    }
  }
  Accept();
}

void Server::AddWire(const std::shared_ptr<Wire>& wire) {
  const std::lock_guard lock(mutex_);
  std::erase_if(wires_, [](const std::weak_ptr<Wire>& one) { return one.expired(); });
  wires_.push_back(wire);
}

// Whoever is connected is told by the end of its connection. Connections that are not that far go with the threads.
void Server::Stop() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
    for (const auto& weak : wires_) {
      if (const auto wire = weak.lock()) asio::post(wire->executor(), [wire] { wire->End(); });
    }
  }
  asio::post(io_, [this] {
    ErrorCodeOf ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    io_.stop();
  });
  for (std::thread& thread : threads_) thread.join();
  io_.restart();
  io_.poll();  // what was ready when they stopped
}

}  // namespace fermata::cri::streaming
