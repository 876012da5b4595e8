// Plugins that misbehave, one call and a chain of them: F-09 and F-10, rows N-01 and N-05. Root, because plugins have
// to be root's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "runtime/base/unique_fd.h"
#include "sandbox/network/cni_chain.h"
#include "tests/fixtures/root_environment.h"
#include "tests/sandbox/network/fake_plugins.h"

namespace fermata::sandbox {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class CniPluginTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::IsRoot()) GTEST_SKIP() << "needs root";
  }
  Result<std::string> Run(const std::string& script, std::chrono::milliseconds limit = 10s) {
    fakes_.Make("plugin", script);
    return CniPlugins({fakes_.bin()})
        .Run("plugin", {"ADD", "id", "/n", "eth0", "A=B", std::chrono::steady_clock::now() + limit}, "{\"a\":1}");
  }
  std::string Why(const std::string& script, std::chrono::milliseconds limit = 10s) {
    const auto done = Run(script, limit);
    return done ? "" : done.error().message();
  }
  testing::FakePlugins fakes_;
};

TEST_F(CniPluginTest, GetsItsConfigurationAndNothingOfOurEnvironment) {
  ::setenv("FERMATA_SECRET", "x", 1);
  const auto out = Run("echo \"$config\"; /usr/bin/env | sort | cut -d= -f1 | tr '\\n' ' '");
  ASSERT_OK(out);
  EXPECT_THAT(*out, ::testing::StartsWith("{\"a\":1}\n"));
  for (const char* name :
       {"CNI_ARGS", "CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_PATH", "PATH"}) {
    EXPECT_THAT(*out, HasSubstr(name));
  }
  EXPECT_THAT(*out, ::testing::Not(HasSubstr("SECRET")));
}

TEST_F(CniPluginTest, N05OneThatHangsIsKilledAtItsDeadlineWithAllThatItStarted) {
  const auto begin = std::chrono::steady_clock::now();
  const auto done = Run("sleep 4711 & echo $! >" + (fakes_ / "child") + "; wait", 300ms);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  const int child = std::stoi(fakes_.Read("child"));
  // Killed is not gone yet: the kernel takes its time to end a process.
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd ended{pidfd.get(), POLLIN, 0};
  EXPECT_TRUE(!pidfd.valid() || ::poll(&ended, 1, 10'000) == 1);
}

TEST_F(CniPluginTest, OneThatLeavesAChildWithItsOutputOpenHasAnswered) {
  const auto begin = std::chrono::steady_clock::now();
  const auto done = Run("sleep 4711 & echo hello");
  ASSERT_OK(done);
  EXPECT_EQ(*done, "hello\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST_F(CniPluginTest, N05AHundredMebibytesCostOne) {
  rusage before{};
  rusage after{};
  ::getrusage(RUSAGE_SELF, &before);
  EXPECT_THAT(Why("head -c 104857600 /dev/zero"), HasSubstr("more than 1 MiB"));
  EXPECT_THAT(Why("head -c 104857600 /dev/zero >&2; exit 3"), HasSubstr("ended with 3"));
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LE(after.ru_maxrss - before.ru_maxrss, 4096);
}

TEST_F(CniPluginTest, WhatItSaysOfItsFailureIsTold) {
  EXPECT_EQ(Why("kill -SEGV $$"), "CNI plugin plugin ADD: ended by signal 11");
  EXPECT_EQ(Why("echo oops >&2; exit 7"), "CNI plugin plugin ADD: ended with 7: oops");
  EXPECT_EQ(Why("echo '{\"code\":100,\"msg\":\"no address left in 10.9.0.0/24\"}'; exit 1"),
            "CNI plugin plugin ADD: no address left in 10.9.0.0/24");
}

TEST_F(CniPluginTest, N01APluginThatOthersMayWriteIsRefused) {
  fakes_.MakeGood("plugin");
  const CniCall call{"ADD", "id", "", "eth0", "", std::chrono::steady_clock::now() + 10s};
  const CniPlugins plugins({fakes_.bin()});
  EXPECT_OK(plugins.Run("plugin", call, "{}"));
  EXPECT_EQ(plugins.Run("missing", call, "{}").error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(plugins.Run("../bin/plugin", call, "{}"));
  std::filesystem::permissions(fakes_.bin() + "/plugin", std::filesystem::perms(0775));
  EXPECT_THAT(plugins.Run("plugin", call, "{}").error().message(), HasSubstr("may be written by others"));
  std::filesystem::permissions(fakes_.bin() + "/plugin", std::filesystem::perms(0755));
  std::filesystem::permissions(fakes_.bin(), std::filesystem::perms(0757));
  EXPECT_THAT(plugins.Run("plugin", call, "{}").error().message(), HasSubstr("may be written by others"));
}

class CniChainTest : public CniPluginTest {
 protected:
  void SetUp() override {
    CniPluginTest::SetUp();
    auto network = ParseCniNetwork(
        R"({"cniVersion":"1.1.0","name":"net","plugins":[{"type":"one"},{"type":"two","capabilities":{"mac":true}}]})",
        "f");
    ASSERT_OK(network);
    network_ = std::move(*network);
    fakes_.MakeGood("one");
    fakes_.MakeGood("two");
    attachment_.id = "pod";
    attachment_.interface = "eth0";
    attachment_.runtime_config = {{"mac", "02:00:00:00:00:01"}, {"ips", {"10.0.0.1"}}};
  }
  CniChain Chain() { return {plugins_, network_}; }
  static CniDeadline Soon() { return std::chrono::steady_clock::now() + 10s; }

  CniPlugins plugins_{{fakes_.bin()}};
  CniNetwork network_;
  CniAttachment attachment_;
};

TEST_F(CniChainTest, AddGoesForwardsAndDelBackwardsWithResultsHandedOn) {
  auto added = Chain().Add(attachment_, Soon());
  ASSERT_OK(added);
  EXPECT_EQ(added->ips.at(0), "10.9.0.2");
  attachment_.previous = added->value;
  EXPECT_OK(Chain().Check(attachment_, Soon()));
  EXPECT_OK(Chain().Del(attachment_, Soon()));
  EXPECT_EQ(fakes_.Calls(), "ADD one pod \nADD two pod \nCHECK one pod \nCHECK two pod \nDEL two pod \nDEL one pod \n");
  const Json first = *ParseJson(fakes_.Read("config.ADD.one"), "c");
  const Json second = *ParseJson(fakes_.Read("config.ADD.two"), "c");
  EXPECT_FALSE(first.contains("prevResult"));
  EXPECT_FALSE(first.contains("runtimeConfig"));
  EXPECT_FALSE(second.contains("capabilities"));
  EXPECT_EQ(second["prevResult"]["ips"][0]["address"], "10.9.0.2/24");
  EXPECT_EQ(second["runtimeConfig"].dump(), R"({"mac":"02:00:00:00:00:01"})");
  EXPECT_EQ(second["name"], "net");
  EXPECT_TRUE(ParseJson(fakes_.Read("config.DEL.one"), "c")->contains("prevResult"));
}

TEST_F(CniChainTest, StatusAndGcAskEveryPlugin) {
  EXPECT_OK(Chain().Status(Soon()));
  EXPECT_OK(Chain().Gc({{"pod", "eth0"}}, Soon()));
  EXPECT_EQ((*ParseJson(fakes_.Read("config.GC.two"), "c"))["cni.dev/valid-attachments"].dump(),
            R"([{"containerID":"pod","ifname":"eth0"}])");
  fakes_.Make("two", R"([ $CNI_COMMAND != STATUS ] || { echo '{"code":50,"msg":"not yet"}'; exit 1; })");
  EXPECT_THAT(Chain().Status(Soon()).error().message(), HasSubstr("not yet"));
  network_.version = "1.0.0";
  EXPECT_OK(Chain().Status(Soon()));
}

TEST_F(CniChainTest, F10EveryBadAnswerOfTheSecondPluginIsACleanError) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"kill -KILL $$", "ended by signal 9"},
      {"head -c 104857600 /dev/zero", "more than 1 MiB"},
      {"echo '{'", "ADD: the result of the plugin"},
      {"echo '{\"cniVersion\":\"0.4.0\",\"ips\":[]}'", "of version 0.4.0 instead of 1.1.0"},
      {"true", "the result of the plugin"},
      {"echo '{\"code\":7,\"msg\":\"bad config\"}'; exit 1", "bad config"},
      {"echo '{\"cniVersion\":\"1.1.0\"}'", "gave the pod no address"},
  };
  for (const auto& [script, why] : bad) {
    fakes_.Make("two", script);
    const auto added = Chain().Add(attachment_, Soon());
    ASSERT_FALSE(added) << script;
    EXPECT_THAT(added.error().message(), HasSubstr(why)) << script;
  }
}

TEST_F(CniChainTest, ADelThatFailsLeavesWhatComesBeforeIt) {
  fakes_.Make("two", "exit 1");
  EXPECT_FALSE(Chain().Del(attachment_, Soon()));
  EXPECT_EQ(fakes_.Calls(), "DEL two pod \n");
}

}  // namespace
}  // namespace fermata::sandbox
