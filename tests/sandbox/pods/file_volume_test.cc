// How volumes of files lie on the disk.
#include "sandbox/pods/file_volume.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/base/file.h"
#include "tests/fixtures/temporary.h"

namespace fermata::sandbox::pods {
namespace {

using fermata::testing::TemporaryDirectory;

TEST(FileVolume, NamesLeadThroughTheDataLink) {
  const TemporaryDirectory directory;
  const auto top = OpenAt(AT_FDCWD, directory.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(top);
  ASSERT_TRUE(WriteFileVolume(top->get(), {{"a", "1", 0400}, {"d/e/f", "2", 0644}, {"d/g", "3", 0644}}, std::nullopt));
  EXPECT_EQ(std::filesystem::read_symlink(directory.path() + "/a"), "..data/a");
  EXPECT_EQ(std::filesystem::read_symlink(directory.path() + "/d"), "..data/d");
  EXPECT_THAT(std::filesystem::read_symlink(directory.path() + "/..data").string(), ::testing::StartsWith("..20"));
  EXPECT_EQ(*ReadFileAt(top->get(), "d/e/f"), "2");
  struct stat status {};
  ASSERT_EQ(::fstatat(top->get(), "a", &status, 0), 0);
  EXPECT_EQ(status.st_mode & 07777, 0400U);
}

TEST(FileVolume, AGroupMayRead) {
  const TemporaryDirectory directory;
  const auto top = OpenAt(AT_FDCWD, directory.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(top);
  const auto group = static_cast<int64_t>(::getegid());
  ASSERT_TRUE(WriteFileVolume(top->get(), {{"a", "1", 0400}}, group));
  struct stat status {};
  ASSERT_EQ(::fstatat(top->get(), "a", &status, 0), 0);
  EXPECT_EQ(status.st_mode & 07777, 0440U);
  ASSERT_EQ(::fstatat(top->get(), "..data", &status, 0), 0);
  EXPECT_EQ(status.st_mode & 07777, 02755U);
}

TEST(FileVolume, NothingIsFollowedAndNothingOverwritten) {
  const TemporaryDirectory directory;
  const auto top = OpenAt(AT_FDCWD, directory.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(top);
  ASSERT_EQ(::symlinkat("/etc/passwd", top->get(), "a"), 0);
  EXPECT_FALSE(WriteFileVolume(top->get(), {{"a", "1", 0644}}, std::nullopt));
  EXPECT_EQ(std::filesystem::read_symlink(directory.path() + "/a"), "/etc/passwd");
}

}  // namespace
}  // namespace fermata::sandbox::pods
