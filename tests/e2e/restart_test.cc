// The daemon dies, or ends, with pods running; another one takes over and nothing is lost.
#include <csignal>
#include <thread>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {
namespace {

constexpr int kPods = 10;
constexpr int kEnding = 3;  // of them end while nobody looks, with 3, 4 and 5
constexpr size_t kRecordBytes = 64;

bool Long() { return std::getenv("FERMATA_FULL") != nullptr; }
size_t Records() { return (Long() ? 10'000'000 : 1'000'000) / kRecordBytes; }
std::chrono::seconds DeadTime() { return std::chrono::seconds(Long() ? 30 : 2); }

// Waits for a file in its /volume, writes numbered records of 64 bytes, says so, and ends or stays.
std::string Writer(int exit_code) {
  const std::string pad(kRecordBytes - 9, '.');
  return "until test -e /volume/go; do usleep 2000; done; busybox awk 'BEGIN {for (i = 1; i <= " +
         std::to_string(Records()) + "; ++i) printf \"%08d" + pad + "\\n\", i}'; touch /volume/done; " +
         (exit_code == 0 ? "exec sleep 1000" : "exit " + std::to_string(exit_code));
}

struct Subject {
  std::string pod, container, work, log;
  int pid = 0, exit_code = 0;
};

class RestartTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!CanRun()) GTEST_SKIP() << "needs root and a cgroup2 mount";
    ASSERT_TRUE(daemon_.Start());
    ASSERT_TRUE(daemon_.Import(BusyboxArchive()));
    cri_.WarmUp();
    before_ = daemon_.Audit();
  }
  void TearDown() override {
    if (!IsSkipped()) daemon_.End();
  }

  void StartWriters() {
    for (int i = 0; i < kPods; ++i) {
      Subject subject;
      const std::string name = "pod-" + std::to_string(i);
      subject.exit_code = i < kEnding ? 3 + i : 0;
      subject.work = directory_ / name;
      std::filesystem::create_directory(subject.work);
      subject.pod = cri_.RunPod(name);
      v1::ContainerConfig config = Cri::ContainerConfig("writer", {"sh", "-c", Writer(subject.exit_code)});
      config.add_mounts()->set_container_path("/volume");
      config.mutable_mounts(0)->set_host_path(subject.work);
      subject.container = cri_.Run(subject.pod, config);
      subject.pid = cri_.Pid(subject.container);
      subject.log = cri_.Status(subject.container).log_path();
      subjects_.push_back(subject);
    }
  }

  // Lets them write while no daemon is there, for at least the dead time.
  void WriteWithoutDaemon() {
    const auto end = std::chrono::steady_clock::now() + DeadTime();
    for (const Subject& subject : subjects_) WriteText(subject.work + "/go", "");
    for (const Subject& subject : subjects_) {
      EXPECT_TRUE(WaitUntil([&] { return std::filesystem::exists(subject.work + "/done"); }, std::chrono::seconds(60)))
          << subject.work;
    }
    std::this_thread::sleep_until(end);
  }

  void ExpectEverythingIsThere() {
    for (const Subject& subject : subjects_) {
      const std::string text = JoinedLog(subject.log);
      ASSERT_EQ(text.size(), Records() * kRecordBytes) << subject.log;
      for (size_t i = 0; i < Records(); ++i) {
        ASSERT_EQ(std::stoul(text.substr(i * kRecordBytes, 8)), i + 1) << subject.log;
      }
      if (subject.exit_code != 0) {
        const v1::ContainerStatus status = cri_.WaitExited(subject.container);
        EXPECT_EQ(status.exit_code(), subject.exit_code);
        EXPECT_EQ(status.reason(), "Error");
        EXPECT_GT(status.finished_at(), status.started_at());
        continue;
      }
      EXPECT_EQ(cri_.Status(subject.container).state(), v1::CONTAINER_RUNNING);
      EXPECT_EQ(cri_.Pid(subject.container), subject.pid);
      EXPECT_EQ(cri_.Shell(subject.container, "echo alive"), "alive");
    }
  }

  void ExpectAllCanBeRemoved() {
    const std::string fresh = cri_.RunPod("fresh");
    EXPECT_EQ(cri_.RunToEnd(fresh, Cri::ContainerConfig("c", {"echo", "new"})).out, "new\n");
    EXPECT_TRUE(Ok(cri_.Stop(subjects_.back().container, 0)));
    EXPECT_EQ(cri_.Status(subjects_.back().container).exit_code(), 137);
    EXPECT_EQ(cri_.Pods().size(), size_t{kPods} + 1);
    for (const v1::PodSandbox& pod : cri_.Pods()) {
      EXPECT_EQ(pod.state(), v1::SANDBOX_READY);
      EXPECT_TRUE(Ok(cri_.StopPod(pod.id())));
      EXPECT_TRUE(Ok(cri_.RemovePod(pod.id())));
    }
    EXPECT_TRUE(cri_.Containers().empty());
    EXPECT_TRUE(daemon_.NothingLeakedSince(before_));
  }

  TemporaryDirectory directory_;
  Daemon daemon_{directory_ / "d"};
  Cri cri_{daemon_};
  LeakAudit before_;
  std::vector<Subject> subjects_;
};

TEST_F(RestartTest, KilledWithTenPodsRunningNothingIsLost) {
  StartWriters();
  daemon_.Kill9();
  WriteWithoutDaemon();
  ASSERT_TRUE(daemon_.Restart());
  ExpectEverythingIsThere();
  ExpectAllCanBeRemoved();
}

TEST_F(RestartTest, EndedWithTenPodsRunningNothingIsLost) {
  StartWriters();
  EXPECT_EQ(daemon_.Terminate(), 0);
  EXPECT_FALSE(std::filesystem::exists(daemon_.socket()));
  WriteWithoutDaemon();
  ASSERT_TRUE(daemon_.Restart());
  ExpectEverythingIsThere();
  ExpectAllCanBeRemoved();
}

TEST_F(RestartTest, KilledInTheMiddleOfStartsItComesBackWithNothingHalfMade) {
  for (int round = 0; round < 3; ++round) {
    std::thread killer([this, round] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20 * (round + 1)));
      daemon_.Kill9();
    });
    for (int i = 0; i < 100; ++i) {
      std::string pod;
      std::string container;
      const std::string name = "r" + std::to_string(round) + "-" + std::to_string(i);
      if (!cri_.TryRunPod(cri_.PodConfig(name), &pod).ok()) break;
      if (!cri_.TryCreate(pod, Cri::ContainerConfig("c", {"sleep", "1000"}), &container).ok()) break;
      if (!cri_.TryStart(container).ok()) break;
    }
    killer.join();
    ASSERT_TRUE(daemon_.Restart());
    for (const v1::Container& container : cri_.Containers()) {
      if (container.state() != v1::CONTAINER_RUNNING) continue;
      EXPECT_EQ(cri_.Shell(container.id(), "echo alive"), "alive");
    }
    for (const v1::PodSandbox& pod : cri_.Pods()) {
      EXPECT_TRUE(Ok(cri_.StopPod(pod.id())));
      EXPECT_TRUE(Ok(cri_.RemovePod(pod.id())));
    }
    EXPECT_TRUE(daemon_.NothingLeakedSince(before_)) << "round " << round;
  }
}

TEST_F(RestartTest, ASandboxWhosePauseDiedMeanwhileIsNotReady) {
  const std::string pod = cri_.RunPod("lost");
  const std::string id = cri_.Run(pod, Cri::ContainerConfig("c", {"sleep", "1000"}));
  daemon_.Kill9();
  WriteText(daemon_.cgroup_root() + "/pods/" + pod + "/cgroup.kill", "1");
  ASSERT_TRUE(daemon_.Restart());
  EXPECT_EQ(cri_.WaitExited(id).exit_code(), 137);
  EXPECT_TRUE(WaitUntil([&] { return cri_.PodStatus(pod).state() == v1::SANDBOX_NOTREADY; }));
  EXPECT_TRUE(Ok(cri_.RemovePod(pod)));
  EXPECT_TRUE(daemon_.NothingLeakedSince(before_));
}

TEST_F(RestartTest, AStoppedPodAndItsExitCodesAreStillListed) {
  const std::string pod = cri_.RunPod("stopped");
  const std::string id = cri_.Run(pod, Cri::ContainerConfig("c", {"sh", "-c", "exit 33"}));
  (void)cri_.WaitExited(id);
  const std::string created = cri_.Create(pod, Cri::ContainerConfig("created", {"true"}));
  ASSERT_TRUE(Ok(cri_.StopPod(pod)));
  daemon_.Kill9();
  ASSERT_TRUE(daemon_.Restart());
  EXPECT_EQ(cri_.PodStatus(pod).state(), v1::SANDBOX_NOTREADY);
  EXPECT_EQ(cri_.Status(id).exit_code(), 33);
  EXPECT_EQ(cri_.Status(created).state(), v1::CONTAINER_CREATED);
  EXPECT_FALSE(cri_.TryStart(created).ok());
}

}  // namespace
}  // namespace fermata::testing
