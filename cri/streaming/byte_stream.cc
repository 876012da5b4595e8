#include "cri/streaming/byte_stream.h"

#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

namespace fermata::cri::streaming {
namespace {

using asio::ip::tcp;

class Plain final : public ByteStream {
 public:
  explicit Plain(tcp::socket socket) : socket_(std::move(socket)) {}
  void Handshake(Done done) override {
    asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
  }
  void Read(asio::mutable_buffer buffer, Done done) override { socket_.async_read_some(buffer, std::move(done)); }
  void Write(asio::const_buffer buffer, Done done) override { asio::async_write(socket_, buffer, std::move(done)); }
  void End(Done done) override {
    ErrorCodeOf error;
    socket_.shutdown(tcp::socket::shutdown_send, error);
    asio::post(socket_.get_executor(), [done = std::move(done), error] { done(error, 0); });
  }
  tcp::socket& socket() override { return socket_; }

 private:
  tcp::socket socket_;
};

class Tls final : public ByteStream {
 public:
  Tls(tcp::socket socket, std::shared_ptr<asio::ssl::context> context)
      : context_(std::move(context)), stream_(std::move(socket), *context_) {}
  void Handshake(Done done) override {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [done = std::move(done)](const ErrorCodeOf& error) { done(error, 0); });
  }
  void Read(asio::mutable_buffer buffer, Done done) override { stream_.async_read_some(buffer, std::move(done)); }
  void Write(asio::const_buffer buffer, Done done) override { asio::async_write(stream_, buffer, std::move(done)); }
  void End(Done done) override {
    stream_.async_shutdown([done = std::move(done)](const ErrorCodeOf& error) { done(error, 0); });
  }
  tcp::socket& socket() override { return stream_.next_layer(); }

 private:
  std::shared_ptr<asio::ssl::context> context_;
  asio::ssl::stream<tcp::socket> stream_;
};

}  // namespace

std::unique_ptr<ByteStream> PlainStream(tcp::socket socket) { return std::make_unique<Plain>(std::move(socket)); }

std::unique_ptr<ByteStream> TlsStream(tcp::socket socket, std::shared_ptr<asio::ssl::context> context) {
  return std::make_unique<Tls>(std::move(socket), std::move(context));
}

}  // namespace fermata::cri::streaming
