// Exec, attach and port-forward of the CRI, as a client of the URLs sees them.
#include <gmock/gmock.h>

#include "tests/e2e/stream_client.h"

namespace fermata::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

class StreamingTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (IsSkipped()) return;
    pod_ = cri().RunPod("streams");
    id_ = cri().Run(pod_, Cri::ContainerConfig("c", {"sleep", "1000"}));
  }
  std::string ExecUrl(const std::vector<std::string>& command, const StreamOptions& options = {}) {
    std::string url;
    EXPECT_TRUE(Ok(TryExecUrl(daemon(), id_, command, options, &url)));
    return url;
  }
  std::string AttachUrl(const std::string& id, const StreamOptions& options) {
    std::string url;
    EXPECT_TRUE(Ok(TryAttachUrl(daemon(), id, options, &url)));
    return url;
  }
  std::string pod_, id_;
};

TEST_F(StreamingTest, ExecGivesBothOutputsAndTheExitCode) {
  StreamClient client(ExecUrl({"sh", "-c", "echo out; echo err >&2; exit 9"}));
  ASSERT_TRUE(client.open()) << client.head();
  EXPECT_EQ(client.Finish(), 9);
  EXPECT_EQ(client.out[1], "out\n");
  EXPECT_EQ(client.out[2], "err\n");
  EXPECT_EQ(client.close_code, 1000);
}

TEST_F(StreamingTest, ExecTakesInputAndItsEnd) {
  StreamClient client(ExecUrl({"sh", "-c", "wc -c; exit 4"}, {.want_stdin = true}));
  std::string data(50000, 'x');
  for (int i = 0; i < 40; ++i) client.Input(data);
  client.InputEnd();
  EXPECT_EQ(client.Finish(), 4);
  EXPECT_EQ(client.out[1], "2000000\n");
}

TEST_F(StreamingTest, ATerminalHasASizeThatFollowsTheClient) {
  StreamClient client(ExecUrl({"sh"}, {.tty = true, .want_stdin = true, .want_stderr = false}));
  client.Resize(91, 37);
  client.Input("stty size; tty\n");
  EXPECT_TRUE(client.ReadUntil("37 91\r\n"));
  EXPECT_TRUE(client.ReadUntil("/dev/pts/"));
  client.Resize(100, 40);
  client.Input("stty size; exit 5\n");
  EXPECT_EQ(client.Finish(), 5);
  EXPECT_THAT(client.out[1], HasSubstr("40 100\r\n"));
}

TEST_F(StreamingTest, ABackgroundChildDoesNotHoldTheSession) {
  const auto begin = std::chrono::steady_clock::now();
  StreamClient client(ExecUrl({"sh", "-c", "sleep 900 & echo done; exit 2"}));
  EXPECT_EQ(client.Finish(), 2);
  EXPECT_EQ(client.out[1], "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, Scaled(std::chrono::seconds(3)));
  EXPECT_EQ(cri().Shell(id_, "kill $(ps | awk '/sleep 90[0]/ {print $1}') && echo gone"), "gone")
      << "it was not ours to kill";
}

TEST_F(StreamingTest, WhatCannotRunIsAnError) {
  StreamClient client(ExecUrl({"no-such-program"}));
  EXPECT_EQ(client.Finish(), -1);
  EXPECT_THAT(client.out[3], HasSubstr("no-such-program"));
  const std::string url = ExecUrl({"true"});
  EXPECT_TRUE(Ok(cri().Stop(id_, 0)));
  StreamClient dead(url);
  EXPECT_EQ(dead.Finish(), -1);
  EXPECT_THAT(dead.out[3], HasSubstr("not running"));
}

TEST_F(StreamingTest, TheCallsCheckWhatTheyAreAsked) {
  std::string url;
  const StreamOptions none{.want_stdout = false, .want_stderr = false};
  const StreamOptions both{.tty = true};
  EXPECT_TRUE(Is(TryExecUrl(daemon(), "", {"x"}, {}, &url), StatusCode::INVALID_ARGUMENT, "container_id"));
  EXPECT_TRUE(Is(TryExecUrl(daemon(), id_, {"x"}, none, &url), StatusCode::INVALID_ARGUMENT, "stdin"));
  EXPECT_TRUE(Is(TryExecUrl(daemon(), id_, {"x"}, both, &url), StatusCode::INVALID_ARGUMENT, "tty"));
  EXPECT_TRUE(Is(TryExecUrl(daemon(), id_, {}, {}, &url), StatusCode::INVALID_ARGUMENT, "cmd"));
  EXPECT_TRUE(Is(TryExecUrl(daemon(), std::string(64, 'a'), {"x"}, {}, &url), StatusCode::NOT_FOUND, "does not exist"));
  EXPECT_TRUE(Is(TryAttachUrl(daemon(), id_, {.tty = true, .want_stderr = false}, &url), StatusCode::INVALID_ARGUMENT,
                 "terminal"));
  v1::PortForwardRequest request;
  v1::PortForwardResponse response;
  const auto forward = [&] {
    return Call(*daemon().runtime, &v1::RuntimeService::Stub::PortForward, request, &response);
  };
  EXPECT_TRUE(Is(forward(), StatusCode::INVALID_ARGUMENT, "pod_sandbox_id"));
  request.set_pod_sandbox_id(pod_);
  request.add_port(70000);
  EXPECT_TRUE(Is(forward(), StatusCode::INVALID_ARGUMENT, "70000"));
  request.clear_port();
  EXPECT_TRUE(Ok(forward()));
  EXPECT_TRUE(Ok(cri().Stop(id_, 0)));
  EXPECT_TRUE(Is(TryExecUrl(daemon(), id_, {"x"}, {}, &url), StatusCode::FAILED_PRECONDITION, "not running"));
  EXPECT_TRUE(Ok(cri().StopPod(pod_)));
  EXPECT_TRUE(Is(forward(), StatusCode::FAILED_PRECONDITION, "not ready"));
}

TEST_F(StreamingTest, SeveralAreAttachedAndStdinOutlivesThem) {
  v1::ContainerConfig config =
      Cri::ContainerConfig("reader", {"sh", "-c", "while read -r l; do echo got $l; done; echo end"});
  config.set_stdin(true);
  const std::string id = cri().Run(pod_, config);
  // Who sees the answer to what it typed itself is attached; a connection alone does not say so.
  StreamClient first(AttachUrl(id, {.want_stdin = true}));
  first.Input("zero\n");
  EXPECT_TRUE(first.ReadUntil("got zero\n"));
  StreamClient second(AttachUrl(id, {.want_stdin = true}));
  second.Input("one\n");
  EXPECT_TRUE(second.ReadUntil("got one\n"));
  EXPECT_TRUE(first.ReadUntil("got one\n"));
  first.InputEnd();
  StreamClient third(AttachUrl(id, {.want_stdin = true}));
  third.Input("two\n");
  EXPECT_TRUE(second.ReadUntil("got two\n"));
  EXPECT_TRUE(third.ReadUntil("got two\n"));
  EXPECT_EQ(third.out[1], "got two\n") << "only what comes from now on";
  EXPECT_TRUE(Ok(cri().Stop(id, 0)));
  EXPECT_EQ(second.Finish(), 137);
  EXPECT_EQ(JoinedLog(cri().Status(id).log_path()), "got zero\ngot one\ngot two\n");
}

TEST_F(StreamingTest, StdinOnceEndsWithTheFirstWhoHadIt) {
  v1::ContainerConfig config = Cri::ContainerConfig("once", {"cat"});
  config.set_stdin(true);
  config.set_stdin_once(true);
  const std::string id = cri().Run(pod_, config);
  {
    StreamClient client(AttachUrl(id, {.want_stdin = true}));
    client.Input("text\n");
    EXPECT_TRUE(client.ReadUntil("text\n"));
  }  // leaves without a word
  EXPECT_EQ(cri().WaitExited(id).exit_code(), 0);
}

TEST_F(StreamingTest, AContainerOnATerminal) {
  v1::ContainerConfig config = Cri::ContainerConfig("tty", {"sh"});
  config.set_stdin(true);
  config.set_tty(true);
  const std::string id = cri().Run(pod_, config);
  StreamClient client(AttachUrl(id, {.tty = true, .want_stdin = true, .want_stderr = false}));
  client.Resize(77, 22);
  client.Input("test -t 0 -a -t 1 -a -t 2 && stty size; echo $TERM\n");
  EXPECT_TRUE(client.ReadUntil("22 77\r\n"));
  EXPECT_TRUE(client.ReadUntil("xterm\r\n"));
  client.Input("exit 3\n");
  EXPECT_EQ(client.Finish(), 3);
  EXPECT_THAT(JoinedLog(cri().WaitExited(id).log_path()), HasSubstr("22 77\r\n"));
}

TEST_F(StreamingTest, WhoDoesNotReadIsCutOffAndBlocksNobody) {
  const std::string loud = cri().Run(
      pod_,
      Cri::ContainerConfig("loud", {"sh", "-c", "sleep .5; yes 0123456789012345678901234567890 | head -c 60000000"}));
  StreamClient client(AttachUrl(loud, {}));
  ASSERT_TRUE(client.open());
  EXPECT_EQ(cri().WaitExited(loud).exit_code(), 0) << "it was not held up";
  EXPECT_EQ(client.Finish(), -1);
  EXPECT_THAT(client.out[3], HasSubstr("too slowly"));
  EXPECT_LT(client.out[1].size(), 60000000U);
  EXPECT_EQ(JoinedLog(cri().Status(loud).log_path()).size(), 60000000U) << "and neither was its log";
}

TEST_F(StreamingTest, AnExecWaitsForItsSlowReaderAndLosesNothing) {
  StreamClient client(ExecUrl({"sh", "-c", "yes 0123456789012345678901234567890 | head -c 30000000"}));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_EQ(client.Finish(), 0);
  EXPECT_EQ(client.out[1].size(), 30000000U);
}

TEST_F(StreamingTest, AForwardReachesThePodsLoopbackOnly) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  (void)cri().Shell(id_, "busybox nc -ll -p 7777 -e echo hello from the pod >/dev/null 2>&1 &");
  (void)cri().Shell(id_, "until netstat -ltn | grep -q :7777; do usleep 5000; done");
  v1::PortForwardRequest request;
  v1::PortForwardResponse response;
  request.set_pod_sandbox_id(pod_);
  request.add_port(7777);
  request.add_port(ntohs(address.sin_port));
  ASSERT_TRUE(Ok(Call(*daemon().runtime, &v1::RuntimeService::Stub::PortForward, request, &response)));
  StreamClient client(response.url(), "v4.channel.k8s.io");
  ASSERT_TRUE(client.open()) << client.head();
  (void)client.Finish();
  EXPECT_EQ(client.out[0], std::string("\x61\x1e", 2) + "hello from the pod\n") << "the port, then data";
  EXPECT_THAT(client.out[3], HasSubstr("refused")) << "the host's listener is not the pod's";
  ::close(listener);
}

TEST_F(StreamingTest, AClientThatIsNotOurs) {
  const char* python = std::getenv("FERMATA_WEBSOCKET_PYTHON");
  if (python == nullptr) GTEST_SKIP() << "FERMATA_WEBSOCKET_PYTHON names no Python that has websocket-client";
  for (const char* protocol : {"v5.channel.k8s.io", "v4.channel.k8s.io"}) {
    const std::string url = ExecUrl({"sh", "-c", "echo out; echo err >&2; exit 5"});
    const ProgramResult result =
        Program(daemon().base(), {python, FERMATA_SOURCE_DIR "/tests/e2e/websocket_client.py", url, protocol}).Wait();
    EXPECT_EQ(result.code, 0) << result.err;
    const Json out = Json::parse(result.out, nullptr, false);
    ASSERT_TRUE(out.is_object()) << result.out;
    EXPECT_EQ(out["1"], "out\n");
    EXPECT_EQ(out["2"], "err\n");
    EXPECT_EQ(out["close"], 1000);
    EXPECT_EQ(Json::parse(out["3"].get<std::string>())["details"]["causes"][0]["message"], "5");
  }
}

TEST_F(StreamingTest, ContainersAndAttachmentsGoOnAfterTheDaemon) {
  v1::ContainerConfig config = Cri::ContainerConfig("keeps", {"sh", "-c", "while read -r l; do echo got $l; done"});
  config.set_stdin(true);
  const std::string id = cri().Run(pod_, config);
  StreamClient before(AttachUrl(id, {.want_stdin = true}));
  StreamClient exec(ExecUrl({"sh", "-c", "echo begun; sleep 1; echo end > /tmp/end"}));
  EXPECT_TRUE(exec.ReadUntil("begun"));
  daemon().Kill9();
  ASSERT_TRUE(daemon().Restart());
  StreamClient after(AttachUrl(id, {.want_stdin = true}));
  after.Input("again\n");
  EXPECT_TRUE(after.ReadUntil("got again\n"));
  EXPECT_TRUE(WaitUntil([&] {
    return cri().Exec(id_, {"cat", "/tmp/end"}).out == "end\n";
  })) << "the exec has gone on: "
      << cri().Exec(id_, {"cat", "/tmp/end"}).err << cri().Shell(id_, "ps");
}

}  // namespace
}  // namespace fermata::testing
