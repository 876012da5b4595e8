// Volumes that hang hold up nobody but the container that wants them.
#include <chrono>
#include <future>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/hanging_mount.h"

namespace fermata::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class HangTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (IsSkipped()) return;
    hanging_ = std::make_unique<HangingMount>(daemon() / "hanging");
    if (!hanging_->mounted()) GTEST_SKIP() << "this kernel cannot mount fuse";
  }
  void TearDown() override {
    hanging_.reset();
    DaemonTest::TearDown();
  }
  v1::ContainerConfig Container(const std::string& path, v1::MountPropagation propagation = v1::PROPAGATION_PRIVATE) {
    v1::ContainerConfig config = Cri::ContainerConfig("hangs", {"sleep", "1000"});
    v1::Mount& mount = *config.add_mounts();
    mount.set_container_path("/volume");
    mount.set_host_path(path);
    mount.set_propagation(propagation);
    return config;
  }
  // What kubelet asks all the time, at most this long.
  void ExpectPromptAnswers(const std::string& pod) {
    const auto begin = steady_clock::now();
    for (int i = 0; i < 20; ++i) {
      EXPECT_FALSE(cri().Pods().empty());
      EXPECT_FALSE(cri().Containers().empty());
      EXPECT_EQ(cri().PodStatus(pod).id(), pod);
    }
    EXPECT_LT(steady_clock::now() - begin, Scaled(milliseconds(1000)));
  }

  std::unique_ptr<HangingMount> hanging_;
};

TEST_F(HangTest, AHangingVolumeHoldsUpNeitherListsNorOtherContainers) {
  const std::string pod = cri().RunPod("hang");
  const std::string other_pod = cri().RunPod("other");
  const std::string id = cri().Create(pod, Container(hanging_->path() / "inside"));
  auto start = std::async(std::launch::async, [&] { return cri().TryStart(id); });
  // A second container of the same pod and one of another come and go meanwhile.
  EXPECT_EQ(cri().RunToEnd(pod, Cri::ContainerConfig("same", {"echo", "same"})).out, "same\n");
  EXPECT_EQ(cri().RunToEnd(other_pod, Cri::ContainerConfig("other", {"echo", "other"})).out, "other\n");
  ExpectPromptAnswers(pod);
  EXPECT_EQ(start.wait_for(milliseconds(0)), std::future_status::timeout) << "the volume does not hang";
  hanging_->End();
  EXPECT_FALSE(start.get().ok());
  EXPECT_TRUE(Ok(cri().StopPod(pod)));
  EXPECT_TRUE(Ok(cri().RemovePod(pod)));
}

// Propagation is looked up by a helper, before the container exists.
TEST_F(HangTest, TheLookAtAHangingVolumeIsTheHelpersAndHoldsUpNobody) {
  const std::string pod = cri().RunPod("helper");
  const std::string first = cri().Run(pod, Cri::ContainerConfig("first", {"sleep", "1000"}));
  auto create = std::async(std::launch::async, [&] {
    return cri().TryCreate(pod, Container(hanging_->path() / "inside", v1::PROPAGATION_HOST_TO_CONTAINER));
  });
  EXPECT_EQ(cri().Shell(first, "echo alive"), "alive");
  ExpectPromptAnswers(pod);
  EXPECT_EQ(create.wait_for(milliseconds(0)), std::future_status::timeout) << "the volume does not hang";
  hanging_->End();
  EXPECT_FALSE(create.get().ok());
}

}  // namespace
}  // namespace fermata::testing
