// Probes over the network, against a server of the test on the loopback.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>

#include "sandbox/probe/grpc_probe.h"
#include "sandbox/probe/http_probe.h"
#include "sandbox/probe/tcp_probe.h"

namespace fermata::sandbox::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

// Answers every request by its path; "" leaves the connection open without a word.
class Server {
 public:
  using Answer = std::function<std::string(const std::string& request)>;
  explicit Server(Answer answer) : answer_(std::move(answer)) {
    listener_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~Server() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  [[nodiscard]] int port() const { return port_; }
  std::string last_request() {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  void Serve() {
    std::vector<UniqueFd> open;
    for (;;) {
      UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection.valid()) return;
      std::string request;
      char block[4096];
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t count = ::read(connection.get(), block, sizeof block);
        if (count <= 0) break;
        request.append(block, static_cast<size_t>(count));
        if (request[0] != 'G') break;  // no GET: TLS
      }
      {
        const std::lock_guard lock(mutex_);
        if (!request.empty()) last_ = request;
      }
      const std::string answer = answer_(request);
      (void)!::write(connection.get(), answer.data(), answer.size());
      if (answer.empty()) open.push_back(std::move(connection));
    }
  }

  Answer answer_;
  UniqueFd listener_;
  int port_ = 0;
  std::mutex mutex_;
  std::string last_;  // mutex_
  std::thread thread_;
};

std::string Reply(int status, const std::string& more = "", const std::string& body = "x") {
  return "HTTP/1.1 " + std::to_string(status) + " Text\r\n" + more + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

class NetworkProbeTest : public testing::Test {
 protected:
  NetworkRun Run(milliseconds timeout = seconds(20)) {
    return {&loop_, std::chrono::steady_clock::now() + timeout, [](const DestinationDone& done) {
              done(Destination{"127.0.0.1", nullptr});
            }};
  }
  ProbeResult Http(const HttpAction& action, milliseconds timeout = seconds(20)) {
    std::promise<ProbeResult> promise;
    RunHttpProbe(Run(timeout), action, [&](ProbeResult result) { promise.set_value(std::move(result)); });
    return promise.get_future().get();
  }
  ProbeResult Tcp(int port) {
    std::promise<ProbeResult> promise;
    RunTcpProbe(Run(), {"", port}, [&](ProbeResult result) { promise.set_value(std::move(result)); });
    return promise.get_future().get();
  }
  TransferLoop loop_;
};

TEST_F(NetworkProbeTest, R3_HttpStatusDecides) {
  const std::pair<int, Outcome> rows[] = {{200, Outcome::kSuccess}, {204, Outcome::kSuccess}, {299, Outcome::kSuccess},
                                          {304, Outcome::kWarning}, {399, Outcome::kWarning}, {400, Outcome::kFailure},
                                          {404, Outcome::kFailure}, {500, Outcome::kFailure}};
  for (const auto& [status, outcome] : rows) {
    Server server([status = status](const std::string&) { return Reply(status, "", ""); });
    const ProbeResult result = Http({.port = server.port()});
    EXPECT_EQ(result.outcome, outcome) << status << " " << result.output;
    const std::string failed = "HTTP probe failed with statuscode: " + std::to_string(status);
    EXPECT_EQ(result.output, status >= 400 ? failed : result.output);
  }
}

TEST_F(NetworkProbeTest, R3_HttpSendsWhatKubeletSends) {
  Server server([](const std::string&) { return Reply(200); });
  (void)Http({.port = server.port(), .path = "/a b?c=d"});
  EXPECT_THAT(server.last_request(), HasSubstr("GET /a%20b?c=d HTTP/1.1\r\n"));
  EXPECT_THAT(server.last_request(), HasSubstr("User-Agent: kube-probe/"));
  EXPECT_THAT(server.last_request(), HasSubstr("Accept: */*\r\n"));
  EXPECT_THAT(server.last_request(), HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(server.last_request(), Not(HasSubstr("Accept-Encoding")));
  (void)Http({.port = server.port(),
              .headers = {{"Host", "a.example"}, {"Accept", ""}, {"User-Agent", "me"}, {"X-A", "1"}, {"X-E", ""}}});
  EXPECT_THAT(server.last_request(), HasSubstr("Host: a.example\r\n"));
  EXPECT_THAT(server.last_request(), Not(HasSubstr("Accept:")));
  EXPECT_THAT(server.last_request(), HasSubstr("User-Agent: me\r\n"));
  EXPECT_THAT(server.last_request(), HasSubstr("X-A: 1\r\n"));
  EXPECT_THAT(server.last_request(), HasSubstr("X-E:"));
}

TEST_F(NetworkProbeTest, R3_RedirectionsWithinTheHostAreFollowedTenTimes) {
  Server once([](const std::string& request) {
    return request.starts_with("GET /end ") ? Reply(404) : Reply(302, "Location: /end\r\n");
  });
  EXPECT_EQ(Http({.port = once.port()}).outcome, Outcome::kFailure);
  Server forever([](const std::string&) { return Reply(302, "Location: /\r\n"); });
  EXPECT_THAT(Http({.port = forever.port()}).output, HasSubstr("stopped after 10 redirects"));
  Server away([](const std::string&) { return Reply(302, "Location: http://other.invalid/\r\n"); });
  EXPECT_EQ(Http({.port = away.port()}).outcome, Outcome::kWarning);
}

TEST_F(NetworkProbeTest, R3_ALongBodyIsCutAndABrokenOneIsAnError) {
  Server longer([](const std::string&) { return Reply(200, "", std::string(100000, 'x')); });
  const ProbeResult result = Http({.port = longer.port()});
  EXPECT_EQ(result.outcome, Outcome::kSuccess);
  EXPECT_EQ(result.output.size(), kMaxBodyBytes);
  Server broken([](const std::string&) { return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"; });
  EXPECT_EQ(Http({.port = broken.port()}).outcome, Outcome::kError);
}

TEST_F(NetworkProbeTest, R3_HttpWithoutAnAnswerFailsAtTheDeadline) {
  Server silent([](const std::string&) { return ""; });
  const auto begin = std::chrono::steady_clock::now();
  const ProbeResult result = Http({.port = silent.port()}, milliseconds(200));
  EXPECT_EQ(result.outcome, Outcome::kFailure);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(190));
  EXPECT_EQ(Http({.port = silent.port(), .https = true}, milliseconds(200)).outcome, Outcome::kFailure);
}

TEST_F(NetworkProbeTest, R3_TcpSucceedsWhenItConnects) {
  int port = 0;
  {
    Server server([](const std::string&) { return Reply(200); });
    port = server.port();
    EXPECT_EQ(Tcp(port).outcome, Outcome::kSuccess);
  }
  EXPECT_EQ(Tcp(port).outcome, Outcome::kFailure);
}

TEST_F(NetworkProbeTest, R3_GrpcAsksOverTheConnectionThatWasMade) {
  Server server([](const std::string&) { return ""; });
  std::promise<ProbeResult> promise;
  const GrpcCheck check = [](const UniqueFd& connection, const std::string& service,
                             std::chrono::steady_clock::time_point, const ProbeDone& done) {
    EXPECT_EQ(service, "live");
    done({connection.valid() ? Outcome::kSuccess : Outcome::kFailure, ""});
  };
  RunGrpcProbe(Run(), {server.port(), "live"}, check,
               [&](ProbeResult result) { promise.set_value(std::move(result)); });
  EXPECT_EQ(promise.get_future().get().outcome, Outcome::kSuccess);
}

TEST_F(NetworkProbeTest, R7_OfAHookAnyAnswerIsGoodAndTlsFallsBack) {
  Server server([](const std::string& request) {
    return request.starts_with("GET") ? Reply(500) : "HTTP/1.0 400 Bad Request\r\n\r\n";
  });
  for (const bool https : {false, true}) {
    std::promise<Result<>> promise;
    RunHttpHook(Run(seconds(3)), {.port = server.port(), .https = https},
                [&](Result<> result) { promise.set_value(std::move(result)); });
    const Result<> result = promise.get_future().get();
    EXPECT_EQ(result ? "" : result.error().message(), "") << https;
  }
}

TEST_F(NetworkProbeTest, HundredSilentServersHoldUpNobody) {
  Server silent([](const std::string&) { return ""; });
  Server good([](const std::string&) { return Reply(200); });
  std::atomic<int> ended = 0;
  std::promise<void> all;
  for (int i = 0; i < 100; ++i) {
    RunTcpProbe(Run(milliseconds(500)), {"", silent.port()}, [&](const ProbeResult&) {
      if (++ended == 100) all.set_value();
    });
  }
  EXPECT_EQ(Http({.port = good.port()}).outcome, Outcome::kSuccess);
  all.get_future().get();
}

}  // namespace
}  // namespace fermata::sandbox::probe
