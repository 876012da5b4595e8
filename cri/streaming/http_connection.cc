#include "cri/streaming/http_connection.h"

#include "cri/streaming/base64.h"
#include "cri/streaming/spdy_command.h"
#include "cri/streaming/websocket_command.h"
#include "cri/streaming/websocket_forward.h"
#include "cri/streaming/wire_forward.h"
#include "runtime/base/log.h"

namespace fermata::cri::streaming {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr size_t kReadBytes = 4096;
constexpr size_t kKeyBytes = 16;  // of Sec-WebSocket-Key, decoded

}  // namespace

HttpConnection::HttpConnection(HttpContext& context, std::unique_ptr<ByteStream> stream, std::shared_ptr<void> ticket)
    : context_(context),
      stream_(std::move(stream)),
      ticket_(std::move(ticket)),
      timer_(stream_->socket().get_executor()),
      buffer_(kReadBytes) {}

void HttpConnection::Start() {
  timer_.expires_after(context_.creation);
  timer_.async_wait([weak = weak_from_this()](const ErrorCodeOf& error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) self->Abort();
  });
  stream_->Handshake([self = shared_from_this()](const ErrorCodeOf& error, size_t) {
    if (error) return self->Abort();
    self->Read();
  });
}

void HttpConnection::Abort() {
  timer_.cancel();
  if (stream_ == nullptr) return;
  ErrorCodeOf ignored;
  stream_->socket().close(ignored);
}

void HttpConnection::Read() {
  stream_->Read(asio::buffer(buffer_),
                [self = shared_from_this()](const ErrorCodeOf& error, size_t bytes) { self->OnRead(error, bytes); });
}

void HttpConnection::OnRead(const ErrorCodeOf& error, size_t bytes) {
  if (error) return Abort();
  head_.append(buffer_.data(), bytes);
  const size_t end = head_.find(kHeadEnd);
  const size_t length = end == std::string::npos ? head_.size() : end + kHeadEnd.size();
  if (length > kMaxHttpHead) return Refuse(431, "the request's head is too long");
  if (end == std::string::npos) return Read();
  timer_.cancel();
  const auto request = HttpRequest::Parse(std::string_view(head_).substr(0, length));
  if (!request) return Refuse(400, request.error().message());
  head_.erase(0, length);  // what follows belongs to the next protocol
  Serve(*request);
}

void HttpConnection::Serve(const HttpRequest& request) {
  if (request.verb != "GET" && request.verb != "POST") return Refuse(405, "GET or POST", "Allow: GET, POST\r\n");
  const auto target = ParseTarget(request.target);
  if (!target) return Refuse(404, "there is nothing here");
  auto stream = context_.tokens.Take(target->token, target->method);
  if (!stream) return Refuse(404, "the URL is unknown, was used before, or is too old");
  const bool upgrades = request.HasWord("connection", "upgrade");
  if (upgrades && request.HasWord("upgrade", "websocket")) return ServeWebSocket(request, std::move(*stream));
  if (upgrades && request.HasWord("upgrade", "SPDY/3.1")) return ServeSpdy(request, std::move(*stream));
  Refuse(400, "unable to upgrade: the request does not ask for SPDY/3.1 or websocket");
}

void HttpConnection::ServeSpdy(const HttpRequest& request, StreamRequest stream) {
  constexpr const char* kHeader = "X-Stream-Protocol-Version";
  const std::vector<std::string> offered = request.Words("x-stream-protocol-version");
  if (offered.empty()) return Refuse(400, std::string(kHeader) + " is missing");
  const auto protocol = ChooseSpdyProtocol(offered, stream.method);
  if (!protocol) {
    std::string accepted;
    for (const std::string& name : SpdyProtocols(stream.method)) {
      accepted += "X-Accepted-Stream-Protocol-Versions: " + name + "\r\n";
    }
    return Refuse(403, "none of the protocols offered is known", accepted);
  }
  const auto wire = BecomeWire(HttpSwitching("SPDY/3.1", {{kHeader, protocol->name}}));
  if (stream.method == Method::kPortForward) {
    auto forward = std::make_shared<WireForward>(wire, context_.backend, std::move(stream), context_.creation);
    return wire->Start(std::move(forward), std::move(head_));
  }
  auto command = std::make_shared<SpdyCommand>(wire, context_.backend, std::move(stream), protocol->version);
  command->Begin(context_.creation);
  wire->Start(std::move(command), std::move(head_));
}

void HttpConnection::ServeWebSocket(const HttpRequest& request, StreamRequest stream) {
  if (request.verb != "GET") return Refuse(405, "a WebSocket is opened by GET", "Allow: GET\r\n");
  if (request.Header("sec-websocket-version") != "13") {
    return Refuse(426, "WebSocket version 13 is needed", "Sec-WebSocket-Version: 13\r\n");
  }
  const std::string key = request.Header("sec-websocket-key");
  const auto bytes = FromBase64(key);
  if (!bytes || bytes->size() != kKeyBytes) return Refuse(400, "Sec-WebSocket-Key is no key");
  const auto protocol = ChooseWebSocketProtocol(request.Words("sec-websocket-protocol"), stream.method);
  if (!protocol) return Refuse(403, "none of the subprotocols offered is known");
  std::vector<std::pair<std::string, std::string>> headers = {{"Sec-WebSocket-Accept", WebSocketAccept(key)}};
  if (!protocol->name.empty()) headers.emplace_back("Sec-WebSocket-Protocol", protocol->name);
  const auto wire = BecomeWire(HttpSwitching("websocket", headers));
  const auto begin = [&](const auto& user) {
    auto connection = std::make_shared<WebSocketConnection>(wire, user);
    wire->Start(connection, std::move(head_));
    user->Begin(connection);
  };
  Backend& backend = context_.backend;
  if (stream.method != Method::kPortForward) {
    begin(std::make_shared<WebSocketCommand>(wire->executor(), backend, std::move(stream), *protocol));
  } else if (protocol->tunnel) {
    begin(std::make_shared<WebSocketTunnel>(wire->executor(), backend, std::move(stream), context_.creation));
  } else {
    begin(std::make_shared<WebSocketForward>(backend, std::move(stream), *protocol));
  }
}

std::shared_ptr<Wire> HttpConnection::BecomeWire(const std::string& answer) {
  timer_.cancel();
  auto wire = std::make_shared<Wire>(std::move(stream_), context_.idle, std::move(ticket_));
  context_.on_wire(wire);
  wire->Write(answer);
  return wire;
}

void HttpConnection::Refuse(int status, std::string_view text, std::string_view more) {
  log::info("streaming: {} {}", status, text);
  const auto wire = BecomeWire(HttpError(status, text, more));
  wire->Finish();
}

}  // namespace fermata::cri::streaming
