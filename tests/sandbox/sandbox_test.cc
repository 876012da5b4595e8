// Store, operations, pod files, launch specs, signals, phases, log lines: no root needed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <thread>

#include "runtime/base/signal_name.h"
#include "sandbox/launch_spec.h"
#include "sandbox/operations.h"
#include "sandbox/pod_files.h"
#include "sandbox/pods/log_follower.h"
#include "sandbox/pods/pod_engine.h"
#include "sandbox/record_codec.h"
#include "sandbox/seccomp_choice.h"
#include "sandbox/steps.h"
#include "sandbox/store.h"
#include "tests/fixtures/temporary.h"

namespace fermata::sandbox {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TemporaryDirectory;

SandboxRecord Sandbox(char letter) {
  SandboxRecord record;
  record.id = SandboxId(std::string(64, letter));
  record.spec.name = "pod";
  record.state = SandboxState::kReady;
  return record;
}

ContainerRecord ContainerOf(const SandboxRecord& sandbox, char letter) {
  ContainerRecord record;
  record.id = ContainerId(std::string(64, letter));
  record.sandbox = sandbox.id;
  record.launch.process.args = {"sh"};
  return record;
}

TEST(RecordCodecTest, BytesThatAreNoUtf8Survive) {
  ContainerRecord record = ContainerOf(Sandbox('a'), 'c');
  record.spec.env = {"X=\xff\xfe"};
  record.launch.process.env = {"X=\xff\xfe"};
  record.spec.resources.memory_limit_bytes = 5;
  record.spec.security.run_as_user = 7;
  const auto again = DecodeContainer(Encode(record));
  ASSERT_OK(again);
  EXPECT_EQ(again->spec.env, record.spec.env);
  EXPECT_EQ(again->launch, record.launch);
  EXPECT_EQ(again->spec.resources.memory_limit_bytes, 5);
  EXPECT_EQ(again->spec.security.run_as_user, 7);
  EXPECT_FALSE(again->spec.security.run_as_group.has_value());
}

TEST(RecordCodecTest, ARecordNestedWithoutEndIsAnErrorAndDoesNotOverflowTheStack) {
  const auto deep = DecodeSandbox(std::string(10'000'000, '\x81'));  // lists of one
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(DecodeContainer(std::string(10'000'000, '\x81')));
}

TEST(RecordCodecTest, AFractionIsNoNumberOfARecord) {
  EXPECT_FALSE(DecodeSandbox(std::string("\xa1\x69pause_pid\xf9\x7c\x00", 14)));  // infinity
  EXPECT_TRUE(DecodeSandbox(std::string("\xa1\x69pause_pid\x07", 12)));
}

TEST(StoreTest, WhatWasPutIsThereAfterOpeningAgain) {
  const TemporaryDirectory directory;
  const SandboxRecord sandbox = Sandbox('a');
  {
    const auto store = Store::Open(directory / "state.db");
    ASSERT_OK(store);
    EXPECT_OK((*store)->Put(sandbox));
    EXPECT_OK((*store)->Put(ContainerOf(sandbox, 'c')));
    EXPECT_OK((*store)->Put(ContainerOf(sandbox, 'd')));
    EXPECT_OK((*store)->Erase(ContainerId(std::string(64, 'd'))));
    EXPECT_OK((*store)->Update(ContainerId(std::string(64, 'c')), [](ContainerRecord& r) { r.exit_code = 9; }));
  }
  const auto store = Store::Open(directory / "state.db");
  ASSERT_OK(store);
  EXPECT_NE((*store)->Find(sandbox.id), nullptr);
  ASSERT_EQ((*store)->ContainersOf(sandbox.id).size(), 1U);
  EXPECT_EQ((*store)->Find(ContainerId(std::string(64, 'c')))->exit_code, 9);
}

TEST(StoreTest, WhatIsErasedWhileItIsUpdatedStaysErased) {
  const TemporaryDirectory directory;
  const SandboxRecord sandbox = Sandbox('a');
  const ContainerId id(std::string(64, 'c'));
  {
    const auto store = Store::Open(directory / "state.db");
    ASSERT_OK(store);
    EXPECT_OK((*store)->Put(sandbox));
    EXPECT_OK((*store)->Put(ContainerOf(sandbox, 'c')));
    const auto container = (*store)->Update(id, [&](ContainerRecord&) { EXPECT_OK((*store)->Erase(id)); });
    ASSERT_FALSE(container);
    EXPECT_EQ(container.error().code(), ErrorCode::kNotFound);
    const auto pod = (*store)->Update(sandbox.id, [&](SandboxRecord&) { EXPECT_OK((*store)->Erase(sandbox.id)); });
    ASSERT_FALSE(pod);
    EXPECT_EQ(pod.error().code(), ErrorCode::kNotFound);
    EXPECT_EQ((*store)->Find(id), nullptr);
    EXPECT_EQ((*store)->Find(sandbox.id), nullptr);
  }
  const auto store = Store::Open(directory / "state.db");
  ASSERT_OK(store);
  EXPECT_TRUE((*store)->Sandboxes().empty());
  EXPECT_EQ((*store)->Find(id), nullptr);
}

TEST(StoreTest, AnUpdateGivesWhatItWroteWhoeverErasesItThen) {
  const TemporaryDirectory directory;
  const SandboxRecord sandbox = Sandbox('a');
  const auto store = Store::Open(directory / "state.db");
  ASSERT_OK(store);
  for (int round = 0; round < 200; ++round) {
    ASSERT_OK((*store)->Put(sandbox));
    std::jthread eraser([&] { EXPECT_OK((*store)->Erase(sandbox.id)); });
    const auto updated = (*store)->Update(sandbox.id, [](SandboxRecord& r) { r.reason = "x"; });
    ASSERT_TRUE(!updated || *updated != nullptr);
    eraser.join();
    ASSERT_EQ((*store)->Find(sandbox.id), nullptr);
  }
}

TEST(StoreTest, OneDamagedRecordIsSetAsideAndTheRestIsThere) {
  const TemporaryDirectory directory;
  const std::string path = directory / "state.db";
  {
    const auto store = Store::Open(path);
    EXPECT_OK((*store)->Put(Sandbox('a')));
    EXPECT_OK((*store)->Put(Sandbox('b')));
  }
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &raw), SQLITE_OK);
  const std::string damage = "UPDATE sandboxes SET record = x'00ff' WHERE id = '" + std::string(64, 'a') + "'";
  ASSERT_EQ(sqlite3_exec(raw, damage.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(raw);
  const auto store = Store::Open(path);
  ASSERT_OK(store);
  EXPECT_EQ((*store)->Sandboxes().size(), 1U);
  ASSERT_EQ((*store)->problems().size(), 1U);
  EXPECT_THAT((*store)->problems()[0], HasSubstr(std::string(64, 'a')));
}

TEST(StoreTest, ManyWritersAtOnceLoseNothing) {
  const TemporaryDirectory directory;
  const auto store = Store::Open(directory / "state.db");
  EXPECT_OK((*store)->Put(Sandbox('a')));
  std::vector<std::thread> writers;
  for (int i = 0; i < 8; ++i) {
    writers.emplace_back([&] {
      for (int n = 0; n < 25; ++n) {
        EXPECT_OK((*store)->Update(SandboxId(std::string(64, 'a')), [](SandboxRecord& r) { ++r.pause_pid; }));
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ((*store)->Find(SandboxId(std::string(64, 'a')))->pause_pid, 200);
}

TEST(OperationTableTest, TheSameCallJoinsAndADifferentOneIsRefused) {
  OperationTable table;
  std::atomic<int> runs = 0;
  std::atomic<bool> release = false;
  std::atomic<bool> started = false;
  const auto slow = [&]() -> Result<std::string> {
    ++runs;
    started = true;
    started.notify_all();
    release.wait(false);
    return std::string("id");
  };
  std::thread first([&] { EXPECT_EQ(*table.Run("pod", "name", "config", slow, {}), "id"); });
  started.wait(false);
  const auto other = table.Run("pod", "name", "other config", slow, {});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), ErrorCode::kAlreadyExists);
  std::thread second([&] { EXPECT_EQ(*table.Run("pod", "name", "config", slow, {}), "id"); });
  release = true;
  release.notify_all();
  first.join();
  second.join();
  EXPECT_LE(runs, 2);  // the second may have come when the first was done already
}

TEST(OperationTableTest, AResultThatNobodyTookWaitsForTheRetry) {
  OperationTable table;
  int runs = 0;
  const auto body = [&]() -> Result<std::string> { return "run " + std::to_string(++runs); };
  EXPECT_EQ(*table.Run("pod", "n", "c", body, [] { return true; }), "run 1");  // this caller has left
  EXPECT_EQ(*table.Run("pod", "n", "c", body, {}), "run 1");
  EXPECT_EQ(*table.Run("pod", "n", "c", body, {}), "run 2");
  EXPECT_EQ(*table.Run("pod", "n", "c", body, [] { return true; }), "run 3");
  EXPECT_EQ(*table.Run("pod", "n", "other", body, {}), "run 4");
}

TEST(StepsTest, AFailureUndoesTheFailedStepTooInReverse) {
  struct Build {
    std::string trace;
  };
  static constexpr std::array<Step<Build>, 3> kSteps = {{
      {"one",
       [](Build& b) {
         b.trace += "1";
         return Result<>();
       },
       [](Build& b) {
         b.trace += "a";
         return Result<>();
       }},
      {"two",
       [](Build& b) {
         b.trace += "2";
         return Result<>();
       },
       [](Build& b) {
         b.trace += "b";
         return Result<>();
       }},
      {"three",
       [](Build& b) {
         b.trace += "3";
         return Result<>();
       },
       [](Build& b) {
         b.trace += "c";
         return Result<>();
       }},
  }};
  Build build;
  const auto done = RunSteps<Build>(kSteps, build, [](std::string_view step) -> Result<> {
    if (step != "two") return {};
    return Error::Make(ErrorCode::kInternal, "no");
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "two: no");
  EXPECT_EQ(build.trace, "1ba");
}

TEST(PodFilesTest, TextsAreAsKubeletWritesThem) {
  SandboxRecord sandbox = Sandbox('a');
  sandbox.spec.hostname = "web";
  sandbox.ips = {"10.0.0.5", "fd00::5"};
  sandbox.spec.host_aliases = {{"1.2.3.4", {"a", "b"}}};
  const std::string hosts = HostsText(sandbox);
  EXPECT_THAT(hosts, HasSubstr("10.0.0.5\tweb\nfd00::5\tweb\n"));
  EXPECT_THAT(hosts, HasSubstr("1.2.3.4 a b\n"));
  EXPECT_EQ(ResolvText({{"10.10.10.10"}, {"google.com"}, {"ndots:8"}}),
            "search google.com\nnameserver 10.10.10.10\noptions ndots:8\n");
  EXPECT_EQ(ResolvText({}), "");
}

class LaunchSpecTest : public ::testing::Test {
 protected:
  Result<runtime::Spec> Build() { return BuildLaunchSpec({sandbox_, container_, image_, user_, "/run/pod", {}}); }
  SandboxRecord sandbox_ = Sandbox('a');
  ContainerSpec container_;
  overlay::ImageConfig image_;
  overlay::ResolvedUser user_;
};

TEST_F(LaunchSpecTest, CommandAndArgumentsReplaceTheImagesAsKubernetesSays) {
  image_.entrypoint = {"entry"};
  image_.cmd = {"cmd"};
  EXPECT_THAT(Build()->process.args, ElementsAre("entry", "cmd"));
  container_.args = {"arg"};
  EXPECT_THAT(Build()->process.args, ElementsAre("entry", "arg"));
  container_.command = {"command"};
  EXPECT_THAT(Build()->process.args, ElementsAre("command", "arg"));
  container_.args = {};
  EXPECT_THAT(Build()->process.args, ElementsAre("command"));
  container_.command = {};
  image_ = {};
  EXPECT_FALSE(Build());
}

TEST_F(LaunchSpecTest, TheRequestsEnvironmentWinsOverTheImages) {
  image_.cmd = {"sh"};
  image_.env = {"A=image", "PATH=/image", "WITHOUT_VALUE"};
  container_.env = {"A=request"};
  user_.home = "/home/x";
  const auto env = Build()->process.env;
  EXPECT_THAT(env, Contains("A=request"));
  EXPECT_THAT(env, Contains("PATH=/image"));
  EXPECT_THAT(env, Contains("HOME=/home/x"));
  EXPECT_THAT(env, Not(Contains("WITHOUT_VALUE")));
}

TEST_F(LaunchSpecTest, CapabilitiesAreAddedAndDropped) {
  image_.cmd = {"sh"};
  auto& security = container_.security;
  EXPECT_THAT(Build()->process.capabilities.bounding, Contains("CAP_CHOWN"));
  EXPECT_TRUE(Build()->process.capabilities.inheritable.empty());
  security.drop_capabilities = {"ALL"};
  security.add_capabilities = {"CAP_NET_ADMIN"};
  EXPECT_THAT(Build()->process.capabilities.bounding, ElementsAre("CAP_NET_ADMIN"));
  security = {};
  security.add_ambient_capabilities = {"CAP_NET_RAW"};
  EXPECT_THAT(Build()->process.capabilities.ambient, ElementsAre("CAP_NET_RAW"));
  EXPECT_THAT(Build()->process.capabilities.inheritable, ElementsAre("CAP_NET_RAW"));
}

TEST_F(LaunchSpecTest, PrivilegedLiftsEveryRestrictionAtOnce) {
  image_.cmd = {"sh"};
  container_.security.privileged = true;
  container_.security.no_new_privileges = true;
  const auto spec = Build();
  EXPECT_TRUE(spec->linux.masked_paths.empty());
  EXPECT_TRUE(spec->linux.readonly_paths.empty());
  EXPECT_FALSE(spec->process.no_new_privileges);
  EXPECT_THAT(spec->process.capabilities.bounding, Contains("CAP_SYS_ADMIN"));
  EXPECT_FALSE(ChooseSeccomp(container_.security, {})->has_value());
}

TEST_F(LaunchSpecTest, GroupsHoldThePrimaryOneAndFollowThePolicy) {
  image_.cmd = {"sh"};
  user_ = {.uid = 1000, .gid = 100, .additional_gids = {200}, .home = "/", .name = "x"};
  container_.security.supplemental_groups = {300, 200};
  EXPECT_THAT(Build()->process.user.additional_gids, ElementsAre(100, 200, 300));
  container_.security.supplemental_groups = {300};
  container_.security.strict_groups = true;
  EXPECT_THAT(Build()->process.user.additional_gids, ElementsAre(100, 300));
}

TEST_F(LaunchSpecTest, MountsGoOuterBeforeInnerAndReplaceThePodsFiles) {
  image_.cmd = {"sh"};
  container_.mounts = {{"/a/b", "/x"}, {"/a", "/y"}, {"/etc/hosts", "/z"}};
  const auto spec = Build();
  std::vector<std::string> binds;
  for (const auto& mount : spec->mounts) {
    if (mount.type == "bind") binds.push_back(mount.destination);
  }
  EXPECT_THAT(binds, ElementsAre("/etc/hostname", "/etc/resolv.conf", "/a", "/a/b", "/etc/hosts"));
}

TEST(SeccompChoiceTest, ALocalhostProfileThatIsNotThereIsNeverUnconfined) {
  SecurityContext security;
  security.seccomp = SeccompMode::kLocalhost;
  for (const char* path : {"", "relative", "/no/such/profile", "/dev/null"}) {
    security.seccomp_profile = path;
    const auto chosen = ChooseSeccomp(security, {});
    ASSERT_FALSE(chosen) << path;
    EXPECT_EQ(chosen.error().code(), ErrorCode::kInvalidArgument) << path;
  }
}

TEST(SignalTest, NamesAndNumbersAreUnderstood) {
  for (const auto& [text, number] : std::map<std::string, int>{{"", 15},
                                                               {"SIGTERM", 15},
                                                               {"TERM", 15},
                                                               {"9", 9},
                                                               {"SIGQUIT", 3},
                                                               {"RTMIN", 34},
                                                               {"SIGRTMIN+3", 37},
                                                               {"RTMAX-1", 63}}) {
    const auto signal = ParseSignal(text);
    ASSERT_OK(signal);
    EXPECT_EQ(*signal, number) << text;
  }
  for (const char* bad : {"SIGX", "0", "65", "-1", "term", "RTMIN+", "RTMIN+99", "9 "})
    EXPECT_FALSE(ParseSignal(bad)) << bad;
}

TEST(LogLineTest, RecordsAreReadBack) {
  pods::LogLine line;
  ASSERT_TRUE(pods::ParseLogLine("1970-01-01T00:00:02.000000003Z stderr P a b", line));
  EXPECT_EQ(line.time_ns, 2'000'000'003);
  EXPECT_TRUE(line.is_stderr);
  EXPECT_TRUE(line.partial);
  EXPECT_EQ(line.content, "a b");
  ASSERT_TRUE(pods::ParseLogLine("1970-01-01T00:00:02.000000003Z stdout F ", line));
  EXPECT_EQ(line.content, "");
  for (const char* bad : {"", "x", "1970-01-01T00:00:02.000000003Z stdout F", "1970-01-01T00:00:02Z stdout F x",
                          "1970-01-01T00:00:02.000000003Z other F x", "1970-01-01T00:00:02.-00000003Z stdout F x"}) {
    EXPECT_FALSE(pods::ParseLogLine(bad, line)) << bad;
  }
}

TEST(LogLineTest, AYearWhoseNanosecondsDoNotFitIsNoRecord) {
  pods::LogLine line;
  EXPECT_TRUE(pods::ParseLogLine("2261-12-31T23:59:59.999999999Z stdout F x", line));
  EXPECT_GT(line.time_ns, 0);
  EXPECT_FALSE(pods::ParseLogLine("9999-12-31T23:59:59.999999999Z stdout F x", line));
  EXPECT_FALSE(pods::ParseLogLine("-999-12-31T23:59:59.999999999Z stdout F x", line));
}

}  // namespace
}  // namespace fermata::sandbox
