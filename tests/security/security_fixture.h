// A pod without the daemon, and canaries beside it: whatever an image arranges, they stay as they are.
#pragma once

#include <cstdlib>

#include "tests/fixtures/canary.h"
#include "tests/runtime/pod_fixture.h"

namespace fermata::testing {

// The table's large counts with FERMATA_FULL=1.
inline int Count(int daily, int full) { return std::getenv("FERMATA_FULL") == nullptr ? daily : full; }

class SecurityTest : public PodTest {
 protected:
  void SetUp() override {
    PodTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    canary_ = std::make_unique<Canary>(outside_ / "canary");
    mounts_ = HostMounts(directory_.path());
  }
  void TearDown() override {
    PodTest::TearDown();
    if (canary_ != nullptr) ExpectCanariesAlive();
  }
  void ExpectCanariesAlive() {
    canary_->ExpectUnchanged();
    const auto beside = OpenAt(AT_FDCWD, outside_.path(), O_RDONLY | O_DIRECTORY);
    ASSERT_OK(beside);
    EXPECT_EQ(*ListDirectory(beside->get()), std::vector<std::string>{"canary"});
    for (const std::string& mount : HostMounts(directory_.path())) EXPECT_TRUE(mounts_.contains(mount)) << mount;
  }
  // Puts something of the image's at `path` of the root, in place of what is there.
  void Arrange(const std::string& path, const std::function<void(const std::string&)>& make) {
    EXPECT_OK(RemoveTree(AT_FDCWD, root_ + path));
    make(root_ + path);
  }
  static std::function<void(const std::string&)> LinkTo(const std::string& target) {
    return [target](const std::string& path) { std::filesystem::create_symlink(target, path); };
  }
  [[nodiscard]] const std::string& canary() const { return canary_->directory(); }
  // Runs to the end; what it printed, or "error: ...".
  std::string Run(std::vector<std::string> arguments) { return RunLaunch(Launch(std::move(arguments))); }
  std::string RunLaunch(const runtime::ContainerLaunch& launch) {
    return Output("c" + std::to_string(serial_++), launch);
  }

  TemporaryDirectory outside_;
  std::unique_ptr<Canary> canary_;
  std::set<std::string> mounts_;
  int serial_ = 0;
};

}  // namespace fermata::testing
