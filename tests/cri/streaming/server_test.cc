// The server as a client sees it, over an engine that is a pair of sockets: no root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "cri/streaming/server.h"
#include "runtime/base/socket.h"
#include "runtime/monitor/session_packet.h"
#include "tests/cri/streaming/raw_client.h"
#include "tests/fixtures/root_environment.h"

namespace fermata::cri::streaming {
namespace {

using runtime::PacketKind;
using ::testing::HasSubstr;
using testing::RawClient;
using ::testing::StartsWith;

// Plays the monitor: echoes input, and ends with code 3 at its end.
class EchoBackend : public Backend {
 public:
  void Open(const StreamRequest& request, std::function<void(Result<UniqueFd>)> done) override {
    if (request.command == std::vector<std::string>{"missing"}) {
      return done(Error::Make(ErrorCode::kInvalidArgument, "no such program"));
    }
    auto ends = SeqpacketPair();
    threads_.emplace_back([fd = std::move(ends->second)] { Echo(fd.get()); });
    done(std::move(ends->first));
  }
  void Sockets(const sandbox::SandboxId&, std::function<void(Result<std::vector<UniqueFd>>)> done) override {
    std::vector<UniqueFd> sockets;
    sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    done(std::move(sockets));
  }
  ~EchoBackend() override { Join(); }
  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  static void Echo(int fd) {
    std::vector<char> buffer(size_t{64} << 10);
    for (;;) {
      const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (count <= 0) return;
      if (buffer[0] == static_cast<char>(PacketKind::kInputEnd)) break;
      if (buffer[0] != static_cast<char>(PacketKind::kInput)) continue;
      buffer[0] = static_cast<char>(PacketKind::kOutput);
      if (::send(fd, buffer.data(), static_cast<size_t>(count), MSG_NOSIGNAL) < 0) return;
    }
    const char exit[] = {static_cast<char>(PacketKind::kExit), 3, 0, 0, 0};
    (void)::send(fd, exit, sizeof exit, MSG_NOSIGNAL);
  }
  std::vector<std::thread> threads_;
};

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.creation = std::chrono::seconds(1);
    auto server = Server::Start(options_, backend_);
    ASSERT_TRUE(server) << server.error().message();
    server_ = std::move(*server);
  }
  std::string PathFor(StreamRequest request) {
    const std::string url = server_->UrlFor(std::move(request)).value();
    return url.substr(url.find('/', url.find("//") + 2));
  }
  static StreamRequest Exec(bool want_stdin = true) {
    return {.method = Method::kExec, .command = {"x"}, .want_stdin = want_stdin, .want_stdout = true};
  }
  std::string Answer(const std::string& request) {
    RawClient client(server_->port());
    EXPECT_TRUE(client.Send(request));
    return client.ReadAll();
  }
  // True when nobody is connected any more.
  bool Empty() {
    for (int i = 0; i < 2000 && server_->connections() > 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return server_->connections() == 0;
  }

  ServerOptions options_;
  EchoBackend backend_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, WhatIsNotAskedForRightHasACode) {
  EXPECT_THAT(Answer("GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Answer(RawClient::SpdyRequest("/exec/0123456789abcdef0123456789abcdef")), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Answer("DELETE /exec/x HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Answer("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Answer("GET / HTTP/1.1\r\nX: " + std::string(20000, 'x')), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(Answer("POST " + PathFor(Exec()) + " HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  const std::string no_common = Answer(RawClient::SpdyRequest(PathFor(Exec()), "v9.channel.k8s.io"));
  EXPECT_THAT(no_common, StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(no_common, HasSubstr("X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io\r\n"));
  EXPECT_THAT(Answer(RawClient::SpdyRequest(PathFor(Exec()), "")), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Answer(RawClient::WebSocketRequest(PathFor(Exec()), "v9.channel.k8s.io")), StartsWith("HTTP/1.1 403 "));
  const std::string path = PathFor(Exec());
  EXPECT_THAT(Answer(RawClient::SpdyRequest("/attach" + path.substr(5))), StartsWith("HTTP/1.1 404 ")) << "of exec";
  EXPECT_TRUE(Empty());
}

TEST_F(ServerTest, ATokenIsGoodOnce) {
  const std::string path = PathFor(Exec());
  RawClient first(server_->port());
  ASSERT_TRUE(first.Send(RawClient::WebSocketRequest(path, "v4.channel.k8s.io")));
  EXPECT_THAT(first.ReadHead(), StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(Answer(RawClient::WebSocketRequest(path, "v4.channel.k8s.io")), StartsWith("HTTP/1.1 404 "));
}

TEST_F(ServerTest, AnExecOverSpdyWithItsRequestInOneSegment) {
  SpdyHeaderWriter writer;
  std::string bytes = RawClient::SpdyRequest(PathFor(Exec()));
  uint32_t id = 1;
  for (const char* type : {"error", "stdin", "stdout"}) {
    bytes += SpdySynStream(id, writer.Write({{"streamtype", type}}), 0);
    id += 2;
  }
  bytes += SpdyDataHead(3, 5, 0) + "hello" + SpdyDataHead(3, 0, kSpdyFin);
  RawClient client(server_->port());
  ASSERT_TRUE(client.Send(bytes));
  const std::string head = client.ReadHead();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(head, HasSubstr("X-Stream-Protocol-Version: v4.channel.k8s.io\r\n"));
  const std::string all = client.ReadAll();
  std::string_view rest = all;
  SpdyParser parser;
  std::map<uint32_t, std::string> data;
  std::map<uint32_t, int> replies, ends;
  bool away = false;
  while (auto frame = parser.Next(rest).value()) {
    if (frame->type == SpdyType::kSynReply) ++replies[frame->stream];
    if (frame->type == SpdyType::kData) data[frame->stream] += frame->payload;
    if (frame->type == SpdyType::kData && frame->flags == kSpdyFin) ++ends[frame->stream];
    away = away || frame->type == SpdyType::kGoAway;
  }
  EXPECT_EQ(replies.size(), 3U);
  EXPECT_EQ(data[5], "hello");
  EXPECT_THAT(data[1], HasSubstr(R"("message":"3")"));
  EXPECT_EQ(ends[1] + ends[5], 2) << "output and error stream have ended";
  EXPECT_TRUE(away);
  EXPECT_TRUE(Empty());
}

TEST_F(ServerTest, AnErrorAtTheStartIsAStatus) {
  RawClient client(server_->port());
  StreamRequest request = Exec(false);
  request.command = {"missing"};
  ASSERT_TRUE(client.Send(RawClient::WebSocketRequest(PathFor(request), "v5.channel.k8s.io")));
  EXPECT_THAT(client.ReadHead(), HasSubstr("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  const std::string all = client.ReadAll();
  EXPECT_THAT(all, HasSubstr("no such program"));
  EXPECT_THAT(all, ::testing::EndsWith(std::string("\x88\x02\x03\xe8", 4))) << "closed with 1000";
}

TEST_F(ServerTest, WhoDoesNotMakeItsStreamsIsLeft) {
  RawClient client(server_->port());
  ASSERT_TRUE(client.Send(RawClient::SpdyRequest(PathFor(Exec()))));
  EXPECT_THAT(client.ReadHead(), StartsWith("HTTP/1.1 101 "));
  RawClient silent(server_->port());
  EXPECT_EQ(silent.ReadAll(), "") << "closed without a word";
  EXPECT_FALSE(client.ReadAll().empty()) << "GOAWAY";
  EXPECT_TRUE(Empty());
}

TEST_F(ServerTest, TenThousandStreamsAndJunkEndTheConnectionOnly) {
  RawClient client(server_->port());
  SpdyHeaderWriter writer;
  std::string bytes = RawClient::SpdyRequest(PathFor(Exec()));
  for (uint32_t id = 1; id < 20000; id += 2) bytes += SpdySynStream(id, writer.Write({{"streamtype", "what"}}), 0);
  bytes += std::string(8, '\xff');
  (void)client.Send(bytes);
  EXPECT_THAT(client.ReadHead(), StartsWith("HTTP/1.1 101 "));
  (void)client.ReadAll();
  EXPECT_TRUE(Empty());
  EXPECT_THAT(Answer("GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
}

TEST_F(ServerTest, AClientThatNeverReadsHoldsUpItsOwnInputOnly) {
  RawClient client(server_->port());
  ASSERT_TRUE(client.Send(RawClient::WebSocketRequest(PathFor(Exec()), "v4.channel.k8s.io")));
  EXPECT_THAT(client.ReadHead(), StartsWith("HTTP/1.1 101 "));
  const timeval soon{1, 0};
  ASSERT_EQ(::setsockopt(client.fd(), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon), 0);
  std::string frame("\x82\xfe\xff\xff\0\0\0\0\0", 9);
  frame += std::string(0xfffe, 'x');
  size_t sent = 0;
  while (sent < size_t{200} << 20 && client.Send(frame)) sent += frame.size();
  EXPECT_LT(sent, size_t{40} << 20) << "nobody keeps what is not read";
  EXPECT_THAT(Answer("GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
}

TEST_F(ServerTest, StoppingEndsWhatIsConnected) {
  RawClient client(server_->port());
  ASSERT_TRUE(client.Send(RawClient::WebSocketRequest(PathFor(Exec()), "v4.channel.k8s.io")));
  EXPECT_THAT(client.ReadHead(), StartsWith("HTTP/1.1 101 "));
  server_->Stop();
  (void)client.ReadAll();
  backend_.Join();
  EXPECT_EQ(server_->connections(), 0U);
}

}  // namespace
}  // namespace fermata::cri::streaming
