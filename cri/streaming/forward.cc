#include "cri/streaming/forward.h"

#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

namespace fermata::cri::streaming {
namespace {

using asio::ip::tcp;

constexpr size_t kReadBytes = size_t{32} << 10;

}  // namespace

void Forward::Start(Backend& backend, const sandbox::SandboxId& pod, uint16_t port,
                    std::weak_ptr<ForwardClient> client) {
  client_ = std::move(client);
  pod_ = pod.str();
  port_ = port;
  backend.Sockets(pod, [self = shared_from_this()](Result<std::vector<UniqueFd>> sockets) {
    auto shared = std::make_shared<Result<std::vector<UniqueFd>>>(std::move(sockets));
    asio::post(self->executor_, [self, shared] { self->OnSockets(std::move(*shared)); });
  });
}

void Forward::OnSockets(Result<std::vector<UniqueFd>> sockets) {
  if (closed_) return;
  if (!sockets) return Fail(sockets.error().message());
  candidates_ = std::move(*sockets);
  ConnectNext("no socket");
}

// The first that answers is taken; what is told is why the first did not.
void Forward::ConnectNext(std::string why) {
  if (candidates_.empty()) return Fail(why);
  const bool v6 = std::exchange(tried_v4_, true);
  boost::system::error_code error;
  socket_.close(error);
  socket_.assign(v6 ? tcp::v6() : tcp::v4(), candidates_.front().Release(), error);
  candidates_.erase(candidates_.begin());
  if (error) return ConnectNext(error.message());
  const asio::ip::address address =
      v6 ? asio::ip::address(asio::ip::address_v6::loopback()) : asio::ip::address(asio::ip::address_v4::loopback());
  socket_.async_connect({address, port_}, [self = shared_from_this(), v6,
                                           why = std::move(why)](const boost::system::error_code& failure) {
    if (self->closed_) return;
    if (failure) {
      return self->ConnectNext(
          v6 ? why : "dial tcp 127.0.0.1:" + std::to_string(self->port_) + ": connect: " + failure.message());
    }
    self->candidates_.clear();
    self->connected_ = true;
    self->buffer_.resize(kReadBytes);
    self->Read();
    self->WriteNext();
  });
}

void Forward::Fail(const std::string& why) {
  const auto client = client_.lock();
  Close();
  if (client != nullptr) {
    client->OnForwardFailed(key_,
                            "error forwarding port " + std::to_string(port_) + " to pod " + pod_ + ", uid : " + why);
  }
}

void Forward::Read() {
  const auto client = client_.lock();
  if (!connected_ || reading_ || closed_ || at_end_ || client == nullptr || !client->HasRoom(key_)) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(buffer_),
                          [self = shared_from_this()](const boost::system::error_code& error, size_t bytes) {
                            self->reading_ = false;
                            self->OnRead(error, bytes);
                          });
}

void Forward::OnRead(const boost::system::error_code& error, size_t bytes) {
  if (closed_) return;
  const auto client = client_.lock();
  if (client == nullptr) return Close();
  if (error) {  // a reset by the peer is an end like another
    at_end_ = true;
    return client->OnForwardEof(key_);
  }
  client->OnForwardData(key_, {buffer_.data(), bytes});
  Read();
}

void Forward::Write(std::string_view data) {
  if (closed_ || write_end_) return;
  next_.append(data);
  if (waiting() > kMaxWaiting) full_ = true;
  WriteNext();
}

void Forward::WriteEnd() {
  write_end_ = true;
  WriteNext();
}

void Forward::WriteNext() {
  if (!connected_ || closed_ || !writing_.empty()) return;
  if (next_.empty()) {
    boost::system::error_code ignored;
    if (write_end_) socket_.shutdown(tcp::socket::shutdown_send, ignored);
    return;
  }
  std::swap(writing_, next_);
  asio::async_write(
      socket_, asio::buffer(writing_),
      [self = shared_from_this()](const boost::system::error_code& error, size_t) { self->OnWritten(error); });
}

void Forward::OnWritten(const boost::system::error_code& error) {
  writing_.clear();
  if (closed_) return;
  if (error) {  // nobody in the pod reads any more; that it ends is told by reading
    next_.clear();
    write_end_ = true;
  } else {
    WriteNext();
  }
  if (!full_ || waiting() > kMaxWaiting / 2) return;
  full_ = false;
  if (const auto client = client_.lock()) client->OnForwardRoom(key_);
}

void Forward::Close() {
  if (closed_) return;
  closed_ = true;
  client_.reset();
  candidates_.clear();
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace fermata::cri::streaming
