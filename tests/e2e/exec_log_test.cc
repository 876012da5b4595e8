// ExecSync, its limits, and the log files.
#include <regex>

#include "tests/e2e/cri_client.h"

namespace fermata::testing {
namespace {

class ExecTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (IsSkipped()) return;
    pod_ = cri().RunPod("exec");
    id_ = cri().Run(pod_, Cri::ContainerConfig("c", {"sleep", "1000"}));
  }
  std::string pod_, id_;
};

class LogTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (!IsSkipped()) pod_ = cri().RunPod("log");
  }
  // The log of a container that ran this to its end.
  std::vector<LogEntry> LogOf(const std::string& script) {
    const std::string id = cri().Run(pod_, Cri::ContainerConfig("c" + std::to_string(serial_++), {"sh", "-c", script}));
    path_ = cri().WaitExited(id).log_path();
    return ReadLog(path_);
  }
  std::string pod_, path_;
  int serial_ = 0;
};

TEST_F(ExecTest, BothOutputsAndTheExitCodeComeBack) {
  const ExecOutcome outcome = cri().Exec(id_, {"sh", "-c", "echo out; echo err >&2; exit 9"});
  ASSERT_TRUE(Ok(outcome.status));
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_EQ(outcome.err, "err\n");
  EXPECT_EQ(outcome.code, 9);
  EXPECT_EQ(cri().Exec(id_, {"sh", "-c", "kill -KILL $$"}).code, 137);
}

TEST_F(ExecTest, AProgramThatIsNotThereIsAnErrorThatNamesIt) {
  const ExecOutcome outcome = cri().Exec(id_, {"no-such-program"});
  EXPECT_FALSE(outcome.status.ok());
  EXPECT_NE(outcome.status.error_message().find("no-such-program"), std::string::npos)
      << outcome.status.error_message();
  EXPECT_FALSE(cri().Exec(id_, {}).status.ok());
  EXPECT_FALSE(cri().Exec(id_, {"true"}, -1).status.ok());
}

TEST_F(ExecTest, AfterTheTimeoutNothingOfTheExecIsLeft) {
  const LeakAudit before = daemon().Audit();
  const auto start = std::chrono::steady_clock::now();
  const ExecOutcome outcome =
      cri().Exec(id_, {"sh", "-c", "sleep 777 & busybox setsid sleep 778 & trap '' TERM; sleep 779"}, 1);
  EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << outcome.status.error_message();
  EXPECT_LT(std::chrono::steady_clock::now() - start, Scaled(std::chrono::seconds(5)));
  EXPECT_EQ(cri().Shell(id_, "pidof sleep | wc -w"), "1") << "only the container's own";
  EXPECT_TRUE(daemon().NothingLeakedSince(before));
  EXPECT_EQ(cri().Status(id_).state(), v1::CONTAINER_RUNNING);
}

TEST_F(ExecTest, AChildThatKeepsTheOutputOpenDoesNotHoldTheAnswerBack) {
  const auto start = std::chrono::steady_clock::now();
  const ExecOutcome outcome = cri().Exec(id_, {"sh", "-c", "sleep 600 & echo done"});
  EXPECT_TRUE(Ok(outcome.status));
  EXPECT_EQ(outcome.out, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, Scaled(std::chrono::seconds(5)));
  const std::string orphan = cri().Shell(id_, "ps -o pid,args | grep 'sleep 600' | grep -v grep | wc -l");
  EXPECT_EQ(orphan, "1") << "it was asked to run in the background";
}

TEST_F(ExecTest, OutputBeyondSixteenMebibytesIsDropped) {
  const ExecOutcome outcome = cri().Exec(id_, {"sh", "-c", "yes | head -c 20971520; echo end >&2; exit 4"});
  ASSERT_TRUE(Ok(outcome.status));
  EXPECT_EQ(outcome.code, 4);
  EXPECT_EQ(outcome.err, "end\n");
  EXPECT_GT(outcome.out.size(), size_t{15} << 20);
  EXPECT_LE(outcome.out.size(), size_t{16} << 20);
  EXPECT_EQ(outcome.out.substr(0, 4), "y\ny\n");
}

TEST_F(ExecTest, OnlyARunningContainerTakesExecs) {
  const std::string created = cri().Create(pod_, Cri::ContainerConfig("created", {"true"}));
  EXPECT_FALSE(cri().Exec(created, {"true"}).status.ok());
  ASSERT_TRUE(Ok(cri().Stop(id_, 0)));
  EXPECT_FALSE(cri().Exec(id_, {"true"}).status.ok());
  EXPECT_EQ(cri().Exec(std::string(64, '0'), {"true"}).status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(LogTest, ARecordIsTimeStreamTagAndContent) {
  const auto entries = LogOf("echo hello world; echo; echo problem >&2; printf 'no end'");
  ASSERT_EQ(entries.size(), 4U) << ReadText(path_);
  const std::regex time("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}(Z|[+-][0-9]{2}:[0-9]{2})");
  std::map<std::string, std::vector<std::string>> by_stream;
  for (const LogEntry& entry : entries) {
    EXPECT_TRUE(std::regex_match(entry.time, time)) << entry.time;
    by_stream[entry.stream].push_back(entry.tag + ":" + entry.content);
  }
  EXPECT_EQ(by_stream["stdout"], (std::vector<std::string>{"F:hello world", "F:", "P:no end"}));
  EXPECT_EQ(by_stream["stderr"], (std::vector<std::string>{"F:problem"}));
}

TEST_F(LogTest, ALongLineIsCutIntoPiecesThatJoin) {
  const auto entries = LogOf("head -c 20480 /dev/zero | busybox tr '\\0' x; echo; echo next");
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].tag, "P");
  EXPECT_EQ(entries[0].content.size(), 16384U);
  EXPECT_EQ(entries[1].tag, "F");
  EXPECT_EQ(entries[1].content.size(), 4096U);
  EXPECT_EQ(JoinedLog(path_), std::string(20480, 'x') + "\nnext\n");
}

TEST_F(LogTest, EveryByteIsKeptInOrder) {
  (void)LogOf("seq 200000");
  std::string expected;
  for (int i = 1; i <= 200000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_TRUE(JoinedLog(path_) == expected);
  (void)LogOf("printf 'a\\r\\nb\\tc\\000d\\n'");
  EXPECT_EQ(JoinedLog(path_), std::string("a\r\nb\tc\0d\n", 9));
}

TEST_F(LogTest, RotationLosesNothingAndSplitsNothing) {
  const std::string id = cri().Run(
      pod_, Cri::ContainerConfig("rotated", {"sh", "-c", "for i in `seq 2000`; do echo $i; done; sleep 1000"}));
  const std::string path = cri().Status(id).log_path();
  std::string all;
  int rotations = 0;
  const auto rotate = [&] {
    const std::string old = path + "." + std::to_string(rotations++);
    std::filesystem::rename(path, old);
    EXPECT_TRUE(Ok(cri().ReopenLog(id)));
    all += JoinedLog(old);
    return all.ends_with("\n2000\n");
  };
  ASSERT_TRUE(WaitUntil(rotate)) << all.size();
  std::string expected;
  for (int i = 1; i <= 2000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(all, expected);
  ASSERT_TRUE(Ok(cri().Stop(id, 0)));
  std::filesystem::remove(path);
  EXPECT_FALSE(cri().ReopenLog(id).ok());
  EXPECT_FALSE(std::filesystem::exists(path)) << "a refused reopen makes no file";
}

TEST_F(LogTest, WithoutALogPathTheOutputIsDiscarded) {
  v1::ContainerConfig config = Cri::ContainerConfig("quiet", {"sh", "-c", "yes | head -c 10000000; exit 6"});
  config.clear_log_path();
  const std::string id = cri().Run(pod_, config);
  EXPECT_EQ(cri().WaitExited(id).exit_code(), 6);
  EXPECT_TRUE(cri().Status(id).log_path().empty());
}

TEST_F(LogTest, TheFilesModeAndParentsAreMadeForKubelet) {
  v1::ContainerConfig config = Cri::ContainerConfig("deep", {"echo", "x"});
  config.set_log_path("deep/er/0.log");
  const std::string path = cri().WaitExited(cri().Run(pod_, config)).log_path();
  EXPECT_EQ(path, cri().LogDirectory("log") + "/deep/er/0.log");
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0640));
}

}  // namespace
}  // namespace fermata::testing
