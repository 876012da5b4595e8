// HttpTransport: requests over HTTP, all on one event-loop thread around libcurl, which only http.cc knows.
//
// Documents go by HTTP/2 where the server speaks it; what is read slowly (HttpRequest::stream, and uploads) has an
// HTTP/1.1 connection of its own, because there a paused reader stops exactly one TCP connection: with HTTP/2, libcurl
// 7.88 lets one paused stream hold up all others of the connection. TLS is 1.2 or newer; proxies come from the
// environment, not for loopback addresses. Redirects are not followed here (http_redirect.h).
//
// Errors: kCancelled; kUnavailable: worth another try; kInternal: the server's certificate does not convince, which is
// final; kInvalidArgument: an answer beyond the limits. Texts have no header values and no queries.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "overlay/registry/http_exchange.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct HttpLimits {
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);      // name, TCP, TLS
  std::chrono::milliseconds response_timeout = std::chrono::seconds(30);     // then, to the end of the headers
  std::chrono::milliseconds no_progress_timeout = std::chrono::seconds(60);  // 4 KiB at least in each such time
  size_t streams_per_origin = 8;                                             // at once; others wait for their turn
};

// What an answer tells the event loop of its exchange. Thread-safe; both return at once.
class HttpLoop {
 public:
  virtual ~HttpLoop() = default;
  virtual void Resume(const std::shared_ptr<HttpExchange>& exchange) = 0;  // there is room, or more to send
  virtual void Abort(const std::shared_ptr<HttpExchange>& exchange) = 0;   // nobody waits for it any more
};
class CurlLoop;

// An answer whose headers are there. One thread at a time; its end closes a connection that is not read to the end.
class HttpResponse {
 public:
  HttpResponse(std::shared_ptr<HttpLoop> loop, std::shared_ptr<HttpExchange> exchange)
      : loop_(std::move(loop)), exchange_(std::move(exchange)) {}
  HttpResponse(const HttpResponse&) = delete;
  HttpResponse& operator=(const HttpResponse&) = delete;
  ~HttpResponse();

  [[nodiscard]] int status() const { return exchange_->status(); }
  [[nodiscard]] const HttpHeaders& headers() const { return exchange_->headers(); }
  // The first of that name (in lower case); empty when there is none.
  [[nodiscard]] std::string_view Header(std::string_view name) const;

  // 0 at the end. An end that comes too early is kUnavailable.
  Result<size_t> Read(std::span<char> buffer);
  // kInvalidArgument when it is longer.
  Result<std::string> ReadAll(size_t limit_bytes);
  // Reads what is left if it is short, so that the connection can be used again.
  void Discard();

 private:
  std::shared_ptr<HttpLoop> loop_;
  std::shared_ptr<HttpExchange> exchange_;
};

// Thread-safe. Its end ends all exchanges.
class HttpTransport {
 public:
  explicit HttpTransport(const HttpLimits& limits);
  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;
  ~HttpTransport();

  // Sends, by this thread's reading of `upload` where there is one, and waits for the headers of the answer.
  Result<std::unique_ptr<HttpResponse>> Send(HttpRequest request);

 private:
  std::shared_ptr<CurlLoop> loop_;
  std::jthread thread_;
};

// "503 Service Unavailable".
std::string StatusText(int status);

}  // namespace fermata::overlay
