// fermata-helper and the daemon's side of it.
#include <gmock/gmock.h>

#include <fstream>

#include "runtime/base/memfd.h"
#include "runtime/helper/path_helper.h"
#include "tests/fixtures/hanging_mount.h"
#include "tests/fixtures/root_environment.h"
#include "tests/fixtures/temporary.h"

namespace fermata::runtime {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class PathHelperTest : public ::testing::Test {
 protected:
  static PathHelper Helper(milliseconds deadline = std::chrono::seconds(10)) {
    auto program = SealedProgram("fermata-helper", FERMATA_BIN_DIR "/fermata-helper");
    EXPECT_OK(program);
    return {std::move(*program), {}, deadline};
  }
  testing::TemporaryDirectory directory_;
};

TEST_F(PathHelperTest, WhatIsThereIsSeenThroughLinks) {
  std::ofstream(directory_ / "file") << "x";
  std::filesystem::create_symlink("file", directory_ / "link");
  const auto file = Helper().Stat(directory_ / "link");
  ASSERT_OK(file);
  EXPECT_EQ(file->error, 0);
  EXPECT_TRUE(S_ISREG(file->mode));
  const auto missing = Helper().Stat(directory_ / "missing");
  ASSERT_OK(missing);
  EXPECT_EQ(missing->error, ENOENT);
}

TEST_F(PathHelperTest, WhatIsMissingIsMade) {
  const auto directory = Helper().MakeDirectory(directory_ / "a/b");
  ASSERT_OK(directory);
  EXPECT_TRUE(S_ISDIR(directory->mode));
  const auto file = Helper().MakeFile(directory_ / "a/b/c");
  ASSERT_OK(file);
  EXPECT_TRUE(S_ISREG(file->mode));
  EXPECT_EQ(Helper().MakeFile(directory_ / "no/where")->error, ENOENT);
}

TEST_F(PathHelperTest, AFileSystemThatDoesNotAnswerCostsTheDeadlineAndLeavesNoProcess) {
  if (!testing::IsRoot()) GTEST_SKIP() << "needs root";
  const testing::HangingMount hanging(directory_ / "hanging");
  if (!hanging.mounted()) GTEST_SKIP() << "this kernel cannot mount fuse";
  const auto begin = std::chrono::steady_clock::now();
  const auto answer = Helper(milliseconds(200)).Stat(hanging.path() / "inside");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(answer.error().message(), HasSubstr("does not respond"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace fermata::runtime
