#include "cri/metrics_server.h"

#include <fcntl.h>

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>

#include "cri/streaming/http_request.h"
#include "runtime/base/log.h"

namespace fermata::cri {

namespace asio = boost::asio;
using asio::ip::tcp;
using streaming::ErrorCodeOf;

namespace {

constexpr size_t kMaxConnections = 16;
constexpr auto kDeadline = std::chrono::seconds(10);  // for a request and its answer
constexpr auto kRetryAccept = std::chrono::milliseconds(100);
constexpr std::string_view kHeadEnd = "\r\n\r\n";

std::string Answer(std::string_view page, bool head_only) {
  std::string text =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nConnection: close\r\n"
      "Content-Length: " +
      std::to_string(page.size()) + "\r\n\r\n";
  return head_only ? text : text.append(page);
}

}  // namespace

// All on the executor of the acceptor, but for what says otherwise.
struct MetricsServer::State : std::enable_shared_from_this<State> {
  State(const asio::any_io_executor& on, TaskPool& pool, Page what)
      : executor(on), acceptor(on), retry(on), tasks(pool), page(std::move(what)) {}
  void Accept();
  void Serve(tcp::socket socket);

  asio::any_io_executor executor;
  tcp::acceptor acceptor;
  asio::steady_timer retry;
  TaskPool& tasks;
  const Page page;
  size_t connections = 0;
};

namespace {

// One request; on the executor of its server.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(tcp::socket socket, TaskPool& tasks, const MetricsServer::Page& page, std::shared_ptr<void> ticket)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        tasks_(tasks),
        page_(page),
        ticket_(std::move(ticket)) {}

  void Start() {
    timer_.expires_after(kDeadline);
    timer_.async_wait([weak = weak_from_this()](const ErrorCodeOf& cancelled) {
      const auto self = weak.lock();
      ErrorCodeOf ignored;
      if (!cancelled && self != nullptr) self->socket_.close(ignored);
    });
    Read();
  }

 private:
  void Read() {
    socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](const ErrorCodeOf& error, size_t bytes) {
      if (!error) self->OnRead(bytes);
    });
  }
  void OnRead(size_t bytes) {
    head_.append(buffer_.data(), bytes);
    const size_t end = head_.find(kHeadEnd);
    if (end == std::string::npos && head_.size() < streaming::kMaxHttpHead) return Read();
    if (end == std::string::npos) return Write(streaming::HttpError(431, "the request's head is too long"));
    const auto request = streaming::HttpRequest::Parse(std::string_view(head_).substr(0, end + kHeadEnd.size()));
    if (!request) return Write(streaming::HttpError(400, request.error().message()));
    const std::string path = request->target.substr(0, request->target.find('?'));
    if (path != "/metrics") return Write(streaming::HttpError(404, "there is /metrics only"));
    const bool head_only = request->verb == "HEAD";
    if (!head_only && request->verb != "GET") {
      return Write(streaming::HttpError(405, "GET or HEAD", "Allow: GET, HEAD\r\n"));
    }
    tasks_.Post([self = shared_from_this(), head_only] {
      std::string answer = Answer(self->page_(), head_only);
      asio::post(self->socket_.get_executor(),
                 [self, answer = std::move(answer)]() mutable { self->Write(std::move(answer)); });
    });
  }
  void Write(std::string answer) {
    answer_ = std::move(answer);
    asio::async_write(socket_, asio::buffer(answer_), [self = shared_from_this()](const ErrorCodeOf&, size_t) {
      ErrorCodeOf ignored;
      self->socket_.shutdown(tcp::socket::shutdown_both, ignored);
      self->timer_.cancel();
    });
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  TaskPool& tasks_;
  const MetricsServer::Page& page_;  // of the server's state, which the ticket holds
  const std::shared_ptr<void> ticket_;
  std::array<char, 2048> buffer_;
  std::string head_, answer_;
};

}  // namespace

void MetricsServer::State::Accept() {
  acceptor.async_accept(executor, [weak = weak_from_this()](const ErrorCodeOf& error, tcp::socket socket) {
    const auto self = weak.lock();
    if (self == nullptr || !self->acceptor.is_open()) return;
    if (!error) {
      self->Serve(std::move(socket));
      return self->Accept();
    }
    log::error("metrics: accept: {}", error.message());
    self->retry.expires_after(kRetryAccept);
    self->retry.async_wait([weak](const ErrorCodeOf& cancelled) {
      if (const auto again = weak.lock(); !cancelled && again != nullptr) again->Accept();
    });
  });
}

void MetricsServer::State::Serve(tcp::socket socket) {
  if (connections == kMaxConnections) return;
  ++connections;
  std::shared_ptr<void> ticket(
      nullptr, [self = shared_from_this()](void*) { asio::post(self->executor, [self] { --self->connections; }); });
  (void)::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  std::make_shared<Exchange>(std::move(socket), tasks, page, std::move(ticket))->Start();
}

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(const Options& options, streaming::Server& streams,
                                                            TaskPool& tasks, Page page) {
  ErrorCodeOf error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error || !address.is_loopback()) {
    return Error::Make(ErrorCode::kInvalidArgument, "metrics.address ", options.address,
                       ": must be an address of loopback (127.0.0.1, ::1), as the page has no password; put a proxy "
                       "before it for other machines");
  }
  std::unique_ptr<MetricsServer> server(new MetricsServer());
  server->state_ = std::make_shared<State>(streams.NewExecutor(), tasks, std::move(page));
  tcp::acceptor& acceptor = server->state_->acceptor;
  tcp::endpoint endpoint(address, options.port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return Error::FromErrno(error.value(), "metrics: listen on ", options.address, ":", std::to_string(options.port));
  }
  const std::string host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  server->url_ = "http://" + host + ":" + std::to_string(acceptor.local_endpoint().port()) + "/metrics";
  (void)::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  asio::post(server->state_->executor, [state = server->state_] { state->Accept(); });
  return server;
}

MetricsServer::~MetricsServer() {
  if (state_ == nullptr) return;
  asio::post(state_->executor, [state = state_] {
    ErrorCodeOf ignored;
    state->acceptor.close(ignored);
    state->retry.cancel();
  });
}

}  // namespace fermata::cri
