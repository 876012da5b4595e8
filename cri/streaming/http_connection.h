// HttpConnection: a client from its connection to the point where it speaks SPDY or WebSocket, or is refused. Lives as
// long as something of it is under way. All calls on the connection's executor.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "cri/streaming/backend.h"
#include "cri/streaming/byte_stream.h"
#include "cri/streaming/http_request.h"
#include "cri/streaming/token_store.h"
#include "cri/streaming/wire.h"

namespace fermata::cri::streaming {

// What connections share; outlives them.
struct HttpContext {
  TokenStore& tokens;
  Backend& backend;
  std::chrono::seconds creation;  // for a client to say what it wants, and then to make its streams
  std::chrono::seconds idle;
  // Called with the wire that a connection has become.
  std::function<void(const std::shared_ptr<Wire>&)> on_wire;
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(HttpContext& context, std::unique_ptr<ByteStream> stream, std::shared_ptr<void> ticket);
  void Start();
  void Abort();

 private:
  void Read();
  void OnRead(const ErrorCodeOf& error, size_t bytes);
  void Serve(const HttpRequest& request);
  void ServeSpdy(const HttpRequest& request, StreamRequest stream);
  void ServeWebSocket(const HttpRequest& request, StreamRequest stream);
  void Refuse(int status, std::string_view text, std::string_view more = {});
  // From now on the bytes are no HTTP.
  std::shared_ptr<Wire> BecomeWire(const std::string& answer);

  HttpContext& context_;
  std::unique_ptr<ByteStream> stream_;
  std::shared_ptr<void> ticket_;
  asio::steady_timer timer_;
  std::vector<char> buffer_;
  std::string head_;
};

}  // namespace fermata::cri::streaming
