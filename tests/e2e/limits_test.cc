// Limits by what they do to the processes, not by what a file reads back; needs the controllers in the cgroup2
// hierarchy. Where they are missing: that a limit is then refused, and how. Updates of them.
#include <fstream>
#include <sstream>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"
#include "tests/fixtures/root_environment.h"

namespace fermata::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMebibyte = 1 << 20;
constexpr int kOomExitCode = 137;
// More than any limit here: a buffer that dd fills once.
const std::vector<std::string> kEatMemory = {"dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"};

class LimitsTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (!IsSkipped()) pod_ = cri().RunPod("limits");
  }
  static bool HasController(const std::string& name) {
    std::istringstream controllers(ReadText(Cgroup2Mount() + "/cgroup.controllers"));
    for (std::string word; controllers >> word;) {
      if (word == name) return true;
    }
    return false;
  }
  v1::ContainerConfig Config(const std::vector<std::string>& command) {
    return Cri::ContainerConfig("c" + std::to_string(serial_++), command);
  }
  static v1::LinuxContainerResources& Resources(v1::ContainerConfig& config) {
    return *config.mutable_linux()->mutable_resources();
  }
  grpc::Status Update(const std::string& id, const v1::LinuxContainerResources& change) {
    v1::UpdateContainerResourcesRequest request;
    v1::UpdateContainerResourcesResponse response;
    request.set_container_id(id);
    *request.mutable_linux() = change;
    return Call(*daemon().runtime, &v1::RuntimeService::Stub::UpdateContainerResources, request, &response);
  }
  grpc::Status UpdatePod(const std::string& id, v1::UpdatePodSandboxResourcesRequest request) {
    v1::UpdatePodSandboxResourcesResponse response;
    request.set_pod_sandbox_id(id);
    return Call(*daemon().runtime, &v1::RuntimeService::Stub::UpdatePodSandboxResources, request, &response);
  }
  // A number of cpu.stat of the container's group.
  int64_t CpuStat(const std::string& id, const std::string& key) {
    std::string group;
    std::ifstream groups("/proc/" + std::to_string(cri().Pid(id)) + "/cgroup");
    for (std::string line; std::getline(groups, line);) {
      if (line.starts_with("0::")) group = Cgroup2Mount() + line.substr(3);
    }
    std::istringstream stat(ReadText(group + "/cpu.stat"));
    std::string name;
    for (int64_t value = 0; stat >> name >> value;) {
      if (name == key) return value;
    }
    ADD_FAILURE() << "no " << key << " in " << group << "/cpu.stat";
    return 0;
  }
  // How many processors' worth the container uses, from one second of it.
  double CpuUse(const std::string& id) {
    const auto begin = Clock::now();
    const int64_t before = CpuStat(id, "usage_usec");
    EXPECT_TRUE(WaitUntil([&] { return Clock::now() - begin >= std::chrono::seconds(1); }));
    const auto used = static_cast<double>(CpuStat(id, "usage_usec") - before);
    const std::chrono::duration<double, std::micro> passed = Clock::now() - begin;
    return used / passed.count();
  }

  std::string pod_;
  int serial_ = 0;
};

TEST_F(LimitsTest, WhoTakesMoreMemoryThanAllowedIsKilledAndNobodyElse) {
  if (!HasController("memory")) GTEST_SKIP() << "no memory controller in the cgroup2 hierarchy";
  const std::string neighbour = cri().Run(pod_, Config({"sleep", "1000"}));
  v1::ContainerConfig config = Config(kEatMemory);
  Resources(config).set_memory_limit_in_bytes(64 * kMebibyte);
  const v1::ContainerStatus killed = cri().RunToEnd(pod_, config).status;
  EXPECT_EQ(killed.exit_code(), kOomExitCode);
  EXPECT_EQ(killed.reason(), "OOMKilled");
  EXPECT_EQ(cri().Status(neighbour).state(), v1::CONTAINER_RUNNING);
  EXPECT_EQ(cri().Shell(neighbour, "echo alive"), "alive");

  config = Config(kEatMemory);
  Resources(config).set_memory_limit_in_bytes(512 * kMebibyte);
  const v1::ContainerStatus fits = cri().RunToEnd(pod_, config).status;
  EXPECT_EQ(fits.exit_code(), 0);
  EXPECT_EQ(fits.reason(), "Completed");
}

TEST_F(LimitsTest, AnExecThatTakesTooMuchIsKilledAndTheContainerGoesOn) {
  if (!HasController("memory")) GTEST_SKIP() << "no memory controller in the cgroup2 hierarchy";
  v1::ContainerConfig config = Config({"sleep", "1000"});
  Resources(config).set_memory_limit_in_bytes(64 * kMebibyte);
  const std::string id = cri().Run(pod_, config);
  const ExecOutcome outcome = cri().Exec(id, kEatMemory);
  ASSERT_TRUE(Ok(outcome.status));
  EXPECT_EQ(outcome.code, kOomExitCode);
  EXPECT_EQ(cri().Shell(id, "echo alive"), "alive");
}

TEST_F(LimitsTest, MemoryOfTheWholeContainerGoesAtOnceWhereTheGroupSaysSo) {
  if (!HasController("memory")) GTEST_SKIP() << "no memory controller in the cgroup2 hierarchy";
  v1::ContainerConfig config = Config({"sleep", "1000"});
  Resources(config).set_memory_limit_in_bytes(64 * kMebibyte);
  (*Resources(config).mutable_unified())["memory.oom.group"] = "1";
  const std::string id = cri().Run(pod_, config);
  (void)cri().Exec(id, kEatMemory);
  const v1::ContainerStatus status = cri().WaitExited(id);
  EXPECT_EQ(status.exit_code(), kOomExitCode);
  EXPECT_EQ(status.reason(), "OOMKilled");
  // The monitor is in no such group: the next container is started by it.
  EXPECT_EQ(cri().RunToEnd(pod_, Config({"true"})).status.exit_code(), 0);
}

TEST_F(LimitsTest, ACpuQuotaHoldsABusyLoopBack) {
  if (!HasController("cpu")) GTEST_SKIP() << "no cpu controller in the cgroup2 hierarchy";
  const std::vector<std::string> busy = {"sh", "-c", "while :; do :; done"};
  const std::string free = cri().Run(pod_, Config(busy));
  EXPECT_GT(CpuUse(free), 0.5);
  ASSERT_TRUE(Ok(cri().Stop(free, 0)));
  v1::ContainerConfig config = Config(busy);
  Resources(config).set_cpu_period(100'000);
  Resources(config).set_cpu_quota(20'000);
  const std::string held = cri().Run(pod_, config);
  const double use = CpuUse(held);
  EXPECT_LT(use, 0.35);
  EXPECT_GT(use, 0.05);
  EXPECT_GT(CpuStat(held, "nr_throttled"), 0);
}

TEST_F(LimitsTest, AProcessLimitStopsForksOfItsContainerOnly) {
  if (!HasController("pids")) GTEST_SKIP() << "no pids controller in the cgroup2 hierarchy";
  const std::string script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done; echo forked";
  v1::ContainerConfig config = Config({"sh", "-c", script});
  (*Resources(config).mutable_unified())["pids.max"] = "6";
  const Cri::Outcome stopped = cri().RunToEnd(pod_, config);
  EXPECT_NE(stopped.status.exit_code(), 0);
  EXPECT_EQ(stopped.out, "");
  EXPECT_NE(stopped.err.find("fork"), std::string::npos) << stopped.err;
  EXPECT_EQ(cri().RunToEnd(pod_, Config({"sh", "-c", script})).out, "forked\n");
}

TEST_F(LimitsTest, AnUpdateOfARunningContainerHoldsAtOnce) {
  if (!HasController("cpu") || !HasController("memory")) GTEST_SKIP() << "no cpu and memory controllers in cgroup2";
  v1::ContainerConfig config = Config({"sh", "-c", "while :; do :; done"});
  Resources(config).set_memory_limit_in_bytes(64 * kMebibyte);
  const std::string id = cri().Run(pod_, config);
  EXPECT_GT(CpuUse(id), 0.5);
  v1::LinuxContainerResources change;
  change.set_cpu_period(100'000);
  change.set_cpu_quota(20'000);
  ASSERT_TRUE(Ok(Update(id, change)));
  EXPECT_LT(CpuUse(id), 0.35);
  EXPECT_EQ(cri().Exec(id, kEatMemory).code, kOomExitCode);
  change.Clear();
  change.set_memory_limit_in_bytes(512 * kMebibyte);
  ASSERT_TRUE(Ok(Update(id, change)));
  EXPECT_EQ(cri().Exec(id, kEatMemory).code, 0);
  const v1::LinuxContainerResources now = cri().Status(id).resources().linux();
  EXPECT_EQ(now.cpu_quota(), 20'000);
  EXPECT_EQ(now.memory_limit_in_bytes(), 512 * kMebibyte);
}

TEST_F(LimitsTest, AnUpdateIsWholeOrNothing) {
  if (!HasController("cpu") || !HasController("memory")) GTEST_SKIP() << "no cpu and memory controllers in cgroup2";
  v1::ContainerConfig config = Config({"sleep", "1000"});
  Resources(config).set_memory_limit_in_bytes(64 * kMebibyte);
  const std::string id = cri().Run(pod_, config);
  v1::LinuxContainerResources change;
  change.set_memory_limit_in_bytes(128 * kMebibyte);
  (*change.mutable_unified())["cpu.weight"] = "1000000";  // out of range, and written last
  EXPECT_FALSE(Update(id, change).ok());
  EXPECT_EQ(cri().Status(id).resources().linux().memory_limit_in_bytes(), 64 * kMebibyte);
  EXPECT_EQ(cri().Exec(id, {"dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"}).code, kOomExitCode)
      << "the old limit";
}

TEST_F(LimitsTest, UpdatesBeforeTheStartAndAcrossARestart) {
  const std::string id = cri().Create(pod_, Config({"sleep", "1000"}));
  v1::LinuxContainerResources change;
  change.set_oom_score_adj(700);
  ASSERT_TRUE(Ok(Update(id, change)));
  ASSERT_TRUE(Ok(cri().TryStart(id)));
  const std::string file = "/proc/" + std::to_string(cri().Pid(id)) + "/oom_score_adj";
  EXPECT_EQ(ReadText(file), "700\n");
  change.set_oom_score_adj(800);
  if (HasController("hugetlb")) {
    v1::HugepageLimit& limit = *change.add_hugepage_limits();
    limit.set_page_size("2MB");
    limit.set_limit(2 * kMebibyte);
  }
  ASSERT_TRUE(Ok(Update(id, change)));
  EXPECT_EQ(ReadText(file), "800\n");
  EXPECT_EQ(daemon().Terminate(), 0);
  ASSERT_TRUE(daemon().Start());
  EXPECT_EQ(cri().Status(id).resources().linux().oom_score_adj(), 800);
  EXPECT_EQ(cri().Shell(id, "cat /proc/self/oom_score_adj"), "800") << "an exec has it too";
  if (!HasController("hugetlb")) return;
  EXPECT_EQ(cri().Status(id).resources().linux().hugepage_limits(0).limit(), 2097152U);
}

TEST_F(LimitsTest, WhatCannotBeUpdatedIsRefused) {
  const std::string id = cri().Run(pod_, Config({"sleep", "1000"}));
  v1::LinuxContainerResources change;
  EXPECT_TRUE(Is(Update(std::string(64, '0'), change), grpc::StatusCode::NOT_FOUND, "does not exist"));
  change.set_memory_swap_limit_in_bytes(1);
  EXPECT_TRUE(Is(Update(id, change), grpc::StatusCode::INVALID_ARGUMENT, "swap limit"));
  change.Clear();
  (*change.mutable_unified())["cgroup.freeze"] = "1";
  EXPECT_TRUE(Is(Update(id, change), grpc::StatusCode::INVALID_ARGUMENT, "cgroup.freeze"));
  change.Clear();
  change.set_cpu_period(1);
  EXPECT_TRUE(Is(Update(id, change), grpc::StatusCode::INVALID_ARGUMENT, "cpu_period"));
  ASSERT_TRUE(Ok(cri().Stop(id, 0)));
  EXPECT_TRUE(Is(Update(id, {}), grpc::StatusCode::FAILED_PRECONDITION, "has ended"));
}

TEST_F(LimitsTest, APodAsAWholeIsUpdated) {
  v1::UpdatePodSandboxResourcesRequest request;
  EXPECT_TRUE(Is(UpdatePod(std::string(64, '0'), request), grpc::StatusCode::NOT_FOUND, "does not exist"));
  request.mutable_overhead()->set_cpu_shares(10);
  if (HasController("hugetlb")) {
    v1::HugepageLimit& limit = *request.mutable_resources()->add_hugepage_limits();
    limit.set_page_size("2MB");
    limit.set_limit(4 * kMebibyte);
  }
  ASSERT_TRUE(Ok(UpdatePod(pod_, request)));
}

TEST_F(LimitsTest, ContainersShareTheMemoryOfTheirPod) {
  if (!HasController("memory")) GTEST_SKIP() << "no memory controller in the cgroup2 hierarchy";
  v1::PodSandboxConfig config = cri().PodConfig("whole");
  config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(64 * kMebibyte);
  const std::string pod = cri().RunPod(config);
  EXPECT_EQ(cri().RunToEnd(pod, Config(kEatMemory)).status.exit_code(), kOomExitCode);
  v1::UpdatePodSandboxResourcesRequest request;
  request.mutable_resources()->set_memory_limit_in_bytes(512 * kMebibyte);
  ASSERT_TRUE(Ok(UpdatePod(pod, request)));
  EXPECT_EQ(cri().RunToEnd(pod, Config(kEatMemory)).status.exit_code(), 0);
}

// The other way, "warn", is what the daemons of all other tests are set to.
TEST_F(LimitsTest, WithoutTheControllerALimitIsRefusedAndTheTextSaysWhatToDo) {
  if (HasController("memory")) GTEST_SKIP() << "the memory controller is there";
  const TemporaryDirectory directory;
  Daemon strict(directory / "d");
  WriteText(strict / "config.toml", "[cgroup]\nmissing_controllers = \"error\"\n[network]\npods = \"none\"\n");
  ASSERT_TRUE(strict.Start());
  ASSERT_TRUE(strict.Import(BusyboxArchive()));
  Cri cri(strict);
  const std::string pod = cri.RunPod("strict");
  v1::ContainerConfig config = Config({"sleep", "1000"});
  Resources(config).set_memory_limit_in_bytes(64 * kMebibyte);
  const std::string id = cri.Create(pod, config);
  const grpc::Status refused = cri.TryStart(id);
  EXPECT_TRUE(Is(refused, grpc::StatusCode::FAILED_PRECONDITION, "needs the controller memory"));
  EXPECT_TRUE(Is(refused, grpc::StatusCode::FAILED_PRECONDITION, "missing_controllers = \"warn\""));
  EXPECT_EQ(cri.Status(id).state(), v1::CONTAINER_EXITED);
  EXPECT_TRUE(Ok(cri.Remove(id)));
  EXPECT_EQ(cri.RunToEnd(pod, Config({"true"})).status.exit_code(), 0);
  strict.End();
}

}  // namespace
}  // namespace fermata::testing
