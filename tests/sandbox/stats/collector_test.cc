// Both parts together, and that nothing is held of what has ended.
#include "sandbox/stats/collector.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

#include "tests/cgroups/fake_group.h"
#include "tests/sandbox/events/records.h"

namespace fermata::sandbox::stats {
namespace {

class CollectorTest : public ::testing::Test {
 protected:
  CollectorTest() {
    sandbox_ = MakeSandbox("s", SandboxState::kReady);
    sandbox_->containers_group = "pod";
    sandbox_->group = "pod/s";
    sandbox_->pause_pid = ::getpid();
    running_ = MakeContainer("c", "s", ContainerState::kRunning);
    running_->group = "pod/c";
    exited_ = MakeContainer("old", "s", ContainerState::kExited);
    exited_->group = "pod/old";
  }
  static bool WaitUntil(const std::function<bool()>& done) {
    for (int i = 0; i < 4000; ++i) {
      if (done()) return true;
      ::usleep(5000);
    }
    return false;
  }

  cgroups::FakeGroup root_{{{"pod/cpu.stat", "usage_usec 5\n"},
                            {"pod/cgroup.procs", ""},
                            {"pod/s/cgroup.procs", std::to_string(::getpid()) + "\n"},
                            {"pod/c/cpu.stat", "usage_usec 3\n"},
                            {"pod/c/cgroup.procs", "999999998\n999999999\n"}}};
  cgroups::Cgroup mount_ = root_.Open();
  std::atomic<int> counted_ = 0;
  EventHub events_{{}, [] { return Now().wall_ns; }};
  Collector collector_{mount_, events_, [this](const std::string& id, const auto&) -> Result<LayerUsage> {
                         ++counted_;
                         if (id == "gone") return Error::Make(ErrorCode::kNotFound, "gone");
                         return LayerUsage{.bytes = 11};
                       }};
  std::shared_ptr<SandboxRecord> sandbox_;
  std::shared_ptr<ContainerRecord> running_, exited_;
};

TEST_F(CollectorTest, GivesAStoppedContainerItsWritableLayerOnly) {
  ASSERT_TRUE(WaitUntil([&] { return collector_.Container(exited_).layer.has_value(); }));
  const ContainerSample stopped = collector_.Container(exited_);
  EXPECT_FALSE(stopped.group);
  EXPECT_EQ(stopped.layer->bytes, 11U);
  EXPECT_TRUE(collector_.Container(running_).group);
}

TEST_F(CollectorTest, GivesAPodItsGroupNetworkProcessesAndRunningContainers) {
  const PodSample pod = collector_.Pod(sandbox_, {running_, exited_});
  ASSERT_TRUE(pod.group);
  EXPECT_EQ(pod.group->stats.cpu->usage_us, 5U);
  EXPECT_EQ(pod.processes, 3U) << "without pids controller they are counted";
  EXPECT_FALSE(pod.interfaces.empty());
  ASSERT_EQ(pod.containers.size(), 1U);
  EXPECT_EQ(pod.containers[0].record->id.str(), "c");
}

TEST_F(CollectorTest, TakesNoTrafficOfTheHostForThePods) {
  sandbox_->spec.namespaces.network = NamespaceMode::kNode;
  EXPECT_TRUE(collector_.Pod(sandbox_, {}).interfaces.empty());
}

TEST_F(CollectorTest, CountsTheWritableLayerOfANewContainerUnasked) {
  events_.Publish(ContainerChange(nullptr, MakeContainer("new", "s", ContainerState::kCreated)));
  EXPECT_TRUE(WaitUntil([&] { return counted_ == 1; }));
}

TEST_F(CollectorTest, SurvivesTheEndOfTheEvents) {
  events_.End();
  EXPECT_TRUE(collector_.Container(running_).group);
}

}  // namespace
}  // namespace fermata::sandbox::stats
