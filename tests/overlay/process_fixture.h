// ProcessFixture: unpacks by fermata-unpack, in a control group of the test's own, and sees to it that nothing is left:
// no child, no group, no descriptor. For tests of label root.
#pragma once

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "overlay/unpack_process.h"
#include "runtime/base/memfd.h"
#include "tests/fixtures/root_environment.h"
#include "tests/overlay/layer_fixture.h"

namespace fermata::overlay::testing {

// A group of a TestCgroup, as sandbox/ makes them in the daemon.
class TestGroup : public HelperGroup {
 public:
  TestGroup(const fermata::testing::TestCgroup& parent, const std::string& name)
      : path_(parent.path() + "/" + name), fd_(parent.Make(name)) {}
  TestGroup(const TestGroup&) = delete;
  TestGroup& operator=(const TestGroup&) = delete;
  ~TestGroup() override {
    std::error_code failure;
    std::filesystem::remove(path_, failure);
    EXPECT_FALSE(failure) << "the process is in it still: " << failure.message();
  }
  [[nodiscard]] int fd() const override { return fd_.get(); }

 private:
  std::string path_;
  UniqueFd fd_;
};

class ProcessFixture : public LayerFixture {
 protected:
  void SetUp() override {
    LayerFixture::SetUp();
    FERMATA_REQUIRE_ROOT();
    if (fermata::testing::Cgroup2Mount().empty()) GTEST_SKIP() << "needs a cgroup2 mount";
    cgroup_ = std::make_unique<fermata::testing::TestCgroup>();
    auto program = SealedProgram("fermata-unpack", FERMATA_BIN_DIR "/fermata-unpack");
    ASSERT_TRUE(program) << program.error().message();
    unpacker_.program = std::move(program).value();
    unpacker_.make_group = [this]() -> Result<std::unique_ptr<HelperGroup>> {
      std::unique_ptr<HelperGroup> group = std::make_unique<TestGroup>(*cgroup_, "g" + std::to_string(++groups_));
      return group;
    };
    cancellation_ = Cancellation::Make().value();
    descriptors_ = Descriptors();
  }
  void TearDown() override {
    if (cgroup_ != nullptr) {
      EXPECT_EQ(cgroup_->Count(), 0U) << "a control group is left";
      EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
      EXPECT_EQ(Descriptors(), descriptors_) << "a descriptor is left";
    }
    LayerFixture::TearDown();
  }
  static size_t Descriptors() {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
  }

  Result<TreeUsage> Run(ByteSource& source, const LayerBlob& blob, const LayerLimits& limits = {}) const {
    return UnpackConfined(unpacker_, source, blob, {.layer_dir = layer_.get(), .limits = limits}, *cancellation_);
  }
  Result<TreeUsage> RunTar(const std::string& tar, Compression compression = Compression::kNone,
                           const LayerLimits& limits = {}) const {
    const std::string packed = Compress(tar, compression);
    const UniqueFd file = MemoryFile(packed);
    RangeSource source(file.get(), 0, packed.size());
    return Run(source, {DigestOf(packed), packed.size(), DigestOf(tar)}, limits);
  }

  std::unique_ptr<fermata::testing::TestCgroup> cgroup_;
  Unpacker unpacker_;
  std::unique_ptr<Cancellation> cancellation_;

 private:
  std::atomic<int> groups_ = 0;
  size_t descriptors_ = 0;
};

}  // namespace fermata::overlay::testing
