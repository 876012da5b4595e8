// The engine in this process: every step of each step table fails once, and nothing is left.
#include <gtest/gtest.h>

#include "cgroups/mount.h"
#include "sandbox/container_manager.h"
#include "sandbox/container_steps.h"
#include "sandbox/sandbox_manager.h"
#include "sandbox/sandbox_steps.h"
#include "tests/fixtures/busybox_image.h"
#include "tests/fixtures/leak_audit.h"

namespace fermata::sandbox {
namespace {

using testing::kBusyboxImage;
using testing::LeakAudit;

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::IsRoot()) GTEST_SKIP() << "needs root";
    if (testing::Cgroup2Mount().empty()) GTEST_SKIP() << "needs a cgroup2 mount";
    cgroup_root_ = "fermata-test-engine-" + std::to_string(::getpid());
    Open();
    const UniqueFd archive = overlay::testing::MemoryFile(testing::BusyboxArchive());
    ASSERT_OK(engine_->images->Import(archive.get(), ""));
  }

  void TearDown() override {
    if (engine_ == nullptr) return;
    for (const SandboxPtr& sandbox : engine_->store->Sandboxes()) EXPECT_OK(sandboxes_->Remove(sandbox->id));
    Close();
    const auto mount = cgroups::Cgroup::Open(testing::Cgroup2Mount());
    EXPECT_OK(mount->Remove(cgroup_root_));
  }

  void Open() {
    EngineConfig config;
    config.data_dir = directory_ / "data";
    config.run_dir = directory_ / "run";
    config.program_dir = FERMATA_BIN_DIR;
    config.cgroup_root = cgroup_root_;
    config.fault = [this](std::string_view step) -> Result<> {
      if (step != failing_step_) return {};
      return Error::Make(ErrorCode::kInternal, "injected");
    };
    auto engine = Engine::Open(std::move(config), network_);
    ASSERT_OK(engine);
    engine_ = std::move(*engine);
    containers_ = std::make_unique<ContainerManager>(*engine_);
    sandboxes_ = std::make_unique<SandboxManager>(*engine_, *containers_);
    sandboxes_->Recover();
  }
  void Close() {
    engine_->End();
    sandboxes_.reset();
    containers_.reset();
    engine_.reset();
  }

  [[nodiscard]] LeakAudit Audit() const {
    return LeakAudit::Take(
        {testing::Cgroup2Mount() + "/" + cgroup_root_, directory_ / "run", directory_ / "data", ::getpid()});
  }

  static SandboxSpec Pod(const std::string& name) {
    SandboxSpec spec;
    spec.name = name;
    spec.uid = name + "-uid";
    spec.name_space = "test";
    spec.hostname = name;
    return spec;
  }
  static ContainerSpec Container(const std::string& name, std::vector<std::string> command) {
    ContainerSpec spec;
    spec.name = name;
    spec.image = kBusyboxImage;
    spec.command = std::move(command);
    return spec;
  }
  ContainerPtr WaitExited(const ContainerId& id) {
    for (int tries = 0; tries < 2000; ++tries) {
      ContainerPtr container = engine_->store->Find(id);
      if (container == nullptr || container->state == ContainerState::kExited) return container;
      ::usleep(5000);
    }
    ADD_FAILURE() << id.str() << " did not exit";
    return nullptr;
  }

  testing::TemporaryDirectory directory_;
  std::string cgroup_root_;
  std::string failing_step_;
  LoopbackNetwork network_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ContainerManager> containers_;
  std::unique_ptr<SandboxManager> sandboxes_;
};

TEST_F(EngineTest, EveryStepOfASandboxFailsOnceAndLeavesNothing) {
  const LeakAudit warm_up = Audit();
  (void)sandboxes_->Run(Pod("warm-up"));  // makes the groups that stay with the instance
  EXPECT_OK(sandboxes_->Remove(engine_->store->Sandboxes().at(0)->id));
  const LeakAudit before = Audit();
  for (const auto& step : SandboxSteps()) {
    failing_step_ = step.name;
    const auto run = sandboxes_->Run(Pod("faulty"));
    ASSERT_FALSE(run) << step.name;
    EXPECT_NE(run.error().message().find(std::string(step.name) + ": injected"), std::string::npos)
        << run.error().message();
    EXPECT_TRUE(engine_->store->Sandboxes().empty()) << step.name;
    EXPECT_EQ(Audit().Since(before), "") << step.name;
    failing_step_.clear();
    const auto again = sandboxes_->Run(Pod("faulty"));
    ASSERT_OK(again);
    EXPECT_OK(sandboxes_->Remove(*again));
  }
}

TEST_F(EngineTest, EveryStepOfAContainerFailsOnceAndLeavesNothing) {
  const auto pod = sandboxes_->Run(Pod("pod"));
  ASSERT_OK(pod);
  const auto first = containers_->Create(*pod, Container("first", {"sleep", "1000"}));
  ASSERT_OK(first);
  ASSERT_OK(containers_->Start(*first));
  const LeakAudit before = Audit();
  for (const auto& step : ContainerCreateSteps()) {
    failing_step_ = step.name;
    EXPECT_FALSE(containers_->Create(*pod, Container("faulty", {"true"}))) << step.name;
    EXPECT_EQ(Audit().Since(before), "") << step.name;
  }
  uint32_t attempt = 0;
  for (const auto& step : ContainerStartSteps()) {
    failing_step_.clear();
    ContainerSpec spec = Container("faulty", {"true"});
    spec.attempt = attempt++;
    const auto id = containers_->Create(*pod, spec);
    ASSERT_OK(id);
    failing_step_ = step.name;
    EXPECT_FALSE(containers_->Start(*id)) << step.name;
    const ContainerPtr record = engine_->store->Find(*id);
    EXPECT_EQ(record->state, ContainerState::kExited);
    EXPECT_EQ(record->exit_code, 128);
    EXPECT_EQ(record->reason, "StartError");
    failing_step_.clear();
    EXPECT_OK(containers_->Remove(*id));
    EXPECT_EQ(Audit().Since(before), "") << step.name;
  }
}

TEST_F(EngineTest, ALostMonitorEndsThePodAndSaysSo) {
  const auto pod = sandboxes_->Run(Pod("pod"));
  ASSERT_OK(pod);
  const auto id = containers_->Create(*pod, Container("c", {"sleep", "1000"}));
  ASSERT_OK(id);
  ASSERT_OK(containers_->Start(*id));
  const auto monitor = engine_->live.Get(*pod)->monitor;
  monitor->KillMonitor();
  const ContainerPtr record = WaitExited(*id);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->exit_code, 137);
  EXPECT_EQ(record->reason, "MonitorLost");
  EXPECT_OK(sandboxes_->Remove(*pod));
}

TEST_F(EngineTest, ANewEngineGoesOnWithThePodsOfTheOldOne) {
  const auto pod = sandboxes_->Run(Pod("pod"));
  ASSERT_OK(pod);
  const auto runs = containers_->Create(*pod, Container("runs", {"sleep", "1000"}));
  const auto ends = containers_->Create(
      *pod, Container("ends", {"sh", "-c", "while ! test -e /dev/shm/go; do usleep 1000; done; exit 7"}));
  ASSERT_OK(containers_->Start(*runs));
  ASSERT_OK(containers_->Start(*ends));
  const int pid = engine_->store->Find(*runs)->pid;
  Close();
  Open();
  EXPECT_EQ(engine_->store->Find(*runs)->pid, pid);
  EXPECT_EQ(engine_->store->Find(*runs)->state, ContainerState::kRunning);
  const auto exec = containers_->ExecSync(*runs, {"touch", "/dev/shm/go"}, std::chrono::seconds(10));
  ASSERT_OK(exec);
  EXPECT_EQ(WaitExited(*ends)->exit_code, 7);
}

TEST_F(EngineTest, WhatACrashLeftHalfMadeIsUndone) {
  SandboxRecord half;
  half.id = SandboxId(std::string(64, 'a'));
  half.spec = Pod("half");
  half.boot_id = engine_->boot_id;
  half.containers_group = cgroup_root_ + "/pods/" + half.id.str();
  half.group = half.containers_group + "/" + half.id.str();
  ASSERT_OK(engine_->store->Put(half));
  ASSERT_OK(engine_->cgroup_mount.Create(half.group));
  ASSERT_OK(MakeDirectories(engine_->sandboxes_dir.get(), half.id.str()));
  ASSERT_OK(MakeDirectories(engine_->sandboxes_dir.get(), std::string(64, 'b')));  // without any record
  Close();
  Open();
  EXPECT_TRUE(engine_->store->Sandboxes().empty());
  EXPECT_FALSE(engine_->cgroup_mount.OpenBelow(half.containers_group));
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "run/sandboxes"));
}

TEST_F(EngineTest, StopUsesTheSignalAndASecondStopShortensTheFirst) {
  const auto pod = sandboxes_->Run(Pod("pod"));
  ASSERT_OK(pod);
  const auto polite = containers_->Create(
      *pod,
      Container("polite", {"sh", "-c", "trap 'exit 5' TERM; touch /dev/shm/ready; while true; do usleep 10000; done"}));
  ASSERT_OK(containers_->Start(*polite));
  const auto stubborn = containers_->Create(
      *pod,
      Container("stubborn", {"sh", "-c", "trap '' TERM; touch /dev/shm/stubborn; while true; do usleep 10000; done"}));
  ASSERT_OK(containers_->Start(*stubborn));
  ASSERT_OK(containers_->ExecSync(
      *polite, {"sh", "-c", "until test -e /dev/shm/ready && test -e /dev/shm/stubborn; do usleep 1000; done"},
      std::chrono::seconds(10)));
  ASSERT_OK(containers_->Stop(*polite, std::chrono::seconds(30)));
  EXPECT_EQ(engine_->store->Find(*polite)->exit_code, 5);
  std::thread patient([&] { EXPECT_OK(containers_->Stop(*stubborn, std::chrono::seconds(600))); });
  ::usleep(100'000);
  EXPECT_OK(containers_->Stop(*stubborn, std::chrono::seconds(0)));
  patient.join();
  EXPECT_EQ(engine_->store->Find(*stubborn)->exit_code, 137);
}

}  // namespace
}  // namespace fermata::sandbox
