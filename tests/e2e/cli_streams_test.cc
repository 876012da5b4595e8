// `fermata exec`, `attach`, `port-forward` and the newer options of `logs`.
#include "tests/cri/streaming/raw_client.h"
#include "tests/e2e/cli_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

class CliStreamsTest : public CliTest {
 protected:
  void RunPod(const std::string& script) {
    EXPECT_EQ(Fermata({"run", "-d", Yaml(Manifest("web", "", {Container("main", script)}))}).code, 0);
  }
  // On a terminal of its own.
  ProgramResult OnTerminal(const std::string& command, const std::string& typed = "") {
    // Typed when the program has had the time to take the terminal: before, some keys mean something to the terminal.
    const std::string keys = "(sleep 1; printf '" + typed + "'; sleep 2)";
    const std::string script =
        "script -qec \"stty cols 91 rows 37; " + BuiltProgram("fermata") + " " + command + "\" /dev/null";
    return Program(directory_.path(), {"/bin/bash", "-o", "pipefail", "-c", keys + " | " + script},
                   {.environment = {"FERMATA_SOCKET=" + daemon().socket()}})
        .Wait();
  }
};

TEST_F(CliStreamsTest, ExecStreamsAndItsExitStatusIsOurs) {
  RunPod("sleep 1000");
  const ProgramResult result = Fermata({"exec", "web", "sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(result.code, 7);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(Output({"exec", "-i", "web", "wc", "-c"}, std::string(300000, 'x')), "300000\n");
  EXPECT_EQ(Output({"exec", "web", "cat"}, "not passed on"), "") << "without -i";
  const ProgramResult missing = Fermata({"exec", "web", "no-such-program"});
  EXPECT_EQ(missing.code, 125);
  EXPECT_THAT(missing.err, HasSubstr("no-such-program"));
  EXPECT_EQ(Fermata({"exec", "nobody", "true"}).code, 125);
}

TEST_F(CliStreamsTest, ExecOnATerminal) {
  RunPod("sleep 1000");
  const ProgramResult result = OnTerminal("exec -it web sh -c 'sleep .3; echo is \\$(stty size); exit 6'");
  EXPECT_THAT(result.out, HasSubstr("is 37 91"));
  EXPECT_EQ(result.code, 6);
  const ProgramResult left = OnTerminal("exec -it web sh -c 'echo up; sleep 55'", "\\020\\021");
  EXPECT_THAT(left.out, HasSubstr("detached"));
  EXPECT_EQ(left.code, 0);
  EXPECT_EQ(Output({"exec", "web", "sh", "-c", "ps | grep -q 'sleep 5[5]' && echo runs"}), "runs\n");
}

TEST_F(CliStreamsTest, AttachSeesWhatComes) {
  RunPod("while :; do echo tick; sleep .1; done");
  Program attached = Begin({"attach", "web"});
  EXPECT_TRUE(WaitUntil([&] { return attached.Out().find("tick\n") != std::string::npos; })) << attached.Err();
  EXPECT_EQ(Fermata({"stop", "-t", "0", "web"}).code, 0);
  EXPECT_EQ(attached.Wait().code, 137);
}

TEST_F(CliStreamsTest, PortForwardServesManyConnections) {
  RunPod("busybox nc -ll -p 9000 -e cat");
  Program forward = Begin({"port-forward", "web", "0:9000"});
  const std::string begin = "Forwarding from 127.0.0.1:";
  ASSERT_TRUE(WaitUntil([&] { return forward.Out().find(" -> 9000\n") != std::string::npos; })) << forward.Err();
  const auto port = static_cast<uint16_t>(std::atoi(forward.Out().c_str() + begin.size()));
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(port));
    ASSERT_TRUE(clients.back()->Send("hello " + std::to_string(i)));
  }
  clients[3].reset();  // the end of one is not that of the others
  for (int i = 0; i < 20; ++i) {
    if (clients[i] == nullptr) continue;
    EXPECT_EQ(clients[i]->ReadSome(), "hello " + std::to_string(i));
  }
  forward.Signal(SIGINT);
  EXPECT_EQ(forward.Wait().code, 0);
  EXPECT_EQ(Fermata({"port-forward", "web", "70000"}).code, 125);
}

TEST_F(CliStreamsTest, LogsSince) {
  RunPod("echo old; sleep 3; echo new; sleep 1000");
  EXPECT_TRUE(WaitUntil([&] { return Output({"logs", "web"}) == "old\nnew\n"; }));
  EXPECT_EQ(Output({"logs", "--since", "2s", "web"}), "new\n");
  EXPECT_EQ(Output({"logs", "--since", "1h", "web"}), "old\nnew\n");
}

TEST_F(CliStreamsTest, LogsOfThePreviousAttempt) {
  RunPod("test -e /dev/shm/seen && { echo second; sleep 1000; }; touch /dev/shm/seen; echo first; exit 1");
  EXPECT_TRUE(WaitUntil([&] { return Fermata({"logs", "web"}).out == "second\n"; }));
  EXPECT_EQ(Output({"logs", "--previous", "web"}), "first\n");
  EXPECT_EQ(Fermata({"logs", "-f", "--previous", "web"}).code, 125);
}

}  // namespace
}  // namespace fermata::testing
