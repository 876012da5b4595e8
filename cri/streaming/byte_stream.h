// ByteStream: a TCP connection of a client, plain or with TLS, behind one type. Owns the socket. Used on the executor
// it was made with.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>

namespace boost::asio::ssl {
class context;
}

namespace fermata::cri::streaming {

namespace asio = boost::asio;
using ErrorCodeOf = boost::system::error_code;

class ByteStream {
 public:
  using Done = std::function<void(const ErrorCodeOf& error, size_t bytes)>;

  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  virtual ~ByteStream() = default;
  virtual void Handshake(Done done) = 0;
  virtual void Read(asio::mutable_buffer buffer, Done done) = 0;
  // All of it.
  virtual void Write(asio::const_buffer buffer, Done done) = 0;
  // Tells the peer that no more comes.
  virtual void End(Done done) = 0;
  virtual asio::ip::tcp::socket& socket() = 0;
};

std::unique_ptr<ByteStream> PlainStream(asio::ip::tcp::socket socket);
std::unique_ptr<ByteStream> TlsStream(asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> context);

}  // namespace fermata::cri::streaming
