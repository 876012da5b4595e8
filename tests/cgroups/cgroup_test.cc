// Cgroup on directories with ordinary files: what it writes and where it looks. What only the kernel can
// answer is in cgroup_root_test.cc.
#include "cgroups/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cgroups/fake_group.h"

namespace fermata::cgroups {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseEvents, ReadsBothFlagsAndSkipsTheRest) {
  const Events both = ParseEvents("populated 1\nfuture 7\nfrozen 1\n");
  EXPECT_TRUE(both.populated);
  EXPECT_TRUE(both.frozen);
  const Events none = ParseEvents("populated 0\nfrozen 0\n");
  EXPECT_FALSE(none.populated);
  EXPECT_FALSE(none.frozen);
  EXPECT_FALSE(ParseEvents("").populated);
}

TEST(CgroupOpen, RefusesADirectoryOfAnotherFileSystem) {
  const FakeGroup directory;
  EXPECT_TRUE(FailsWith(ErrorCode::kFailedPrecondition, Cgroup::Open(directory.path())));
}

TEST(CgroupCreate, MakesTheWholePathAndSaysWhatWasThere) {
  const FakeGroup root;
  const auto first = root.Open().Create("a/b/c");
  ASSERT_TRUE(Succeeded(first));
  EXPECT_FALSE(first->existed);
  EXPECT_EQ(first->cgroup.Path(), root.path() / "a/b/c");
  const auto again = root.Open().Create("a/b/c");
  ASSERT_TRUE(Succeeded(again));
  EXPECT_TRUE(again->existed);
}

TEST(CgroupCreate, EnablesControllersInOwnedAncestorsOnlyAndNamesTheMissing) {
  const FakeGroup root({{"cgroup.controllers", "cpu memory pids\n"},
                        {"cgroup.subtree_control", ""},
                        {"a/cgroup.controllers", "memory pids\n"},
                        {"a/cgroup.subtree_control", "pids\n"},
                        {"a/b/cgroup.controllers", "memory pids\n"},
                        {"a/b/cgroup.subtree_control", ""}});
  const auto created = root.Open().Create("a/b", {{"memory", "pids", "cpu", "io"}, 1});
  ASSERT_TRUE(Succeeded(created));
  EXPECT_EQ(root.Content("cgroup.subtree_control"), "");
  EXPECT_EQ(root.Content("a/cgroup.subtree_control"), "+memory");  // pids was enabled, cpu is not there
  EXPECT_EQ(root.Content("a/b/cgroup.subtree_control"), "");
  EXPECT_THAT(created->missing_controllers, ElementsAre("cpu", "io"));
}

TEST(CgroupCreate, NeverFollowsALink) {
  const FakeGroup root;
  const FakeGroup elsewhere;
  std::filesystem::create_directory_symlink(elsewhere.path(), root.path() / "link");
  EXPECT_FALSE(root.Open().Create("link/x"));
  EXPECT_FALSE(root.Open().OpenBelow("link"));
  EXPECT_TRUE(std::filesystem::is_empty(elsewhere.path()));
}

TEST(CgroupPaths, AreRelativeAndPlain) {
  const FakeGroup root;
  for (const char* path : {"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a"}) {
    EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, root.Open().Create(path)));
    EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, root.Open().Remove(path)));
    EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, root.Open().OpenBelow(path)));
  }
}

TEST(CgroupRemove, TakesTheTreeFromTheBottomUpAndNothingBesideIt) {
  const FakeGroup root;
  for (const char* path : {"a/b/c/d", "a/b/e", "a/f", "g"}) ASSERT_TRUE(Succeeded(root.Open().Create(path)));
  EXPECT_TRUE(Succeeded(root.Open().Remove("a/b")));
  EXPECT_FALSE(std::filesystem::exists(root.path() / "a/b"));
  EXPECT_TRUE(std::filesystem::exists(root.path() / "a/f"));
  EXPECT_TRUE(Succeeded(root.Open().Remove("a")));
  EXPECT_TRUE(std::filesystem::exists(root.path() / "g"));
}

TEST(CgroupRemove, SucceedsWhenNothingIsThere) {
  const FakeGroup root;
  EXPECT_TRUE(Succeeded(root.Open().Remove("a")));
  EXPECT_TRUE(Succeeded(root.Open().Remove("a/b/c")));
}

TEST(CgroupRemove, ManagesATreeDeeperThanDescriptorsAllow) {
  const FakeGroup root;
  Cgroup current = root.Open();
  for (int i = 0; i < 3000; ++i) {
    auto next = current.Create("d");
    ASSERT_TRUE(Succeeded(next));
    current = std::move(next->cgroup);
  }
  EXPECT_TRUE(Succeeded(root.Open().Remove("d")));
  EXPECT_TRUE(std::filesystem::is_empty(root.path()));
}

TEST(CgroupKill, WritesTheControlFile) {
  const FakeGroup group(FakeGroup::Files{{"cgroup.kill", ""}});
  EXPECT_TRUE(Succeeded(group.Open().Kill()));
  EXPECT_EQ(group.Content("cgroup.kill"), "1");
}

TEST(CgroupFreeze, ReturnsAtOnceWhenTheKernelSaysSo) {
  const FakeGroup group({{"cgroup.freeze", ""}, {"cgroup.events", "populated 1\nfrozen 1\n"}});
  EXPECT_TRUE(Succeeded(group.Open().Freeze(milliseconds(0))));
  EXPECT_EQ(group.Content("cgroup.freeze"), "1");
}

TEST(CgroupFreeze, EndsAtItsDeadline) {
  const FakeGroup group({{"cgroup.freeze", ""}, {"cgroup.events", "populated 1\nfrozen 0\n"}});
  const auto frozen = group.Open().Freeze(milliseconds(10));
  EXPECT_TRUE(FailsWith(ErrorCode::kDeadlineExceeded, frozen));
  EXPECT_THAT(frozen.error().message(), HasSubstr(group.path().string() + " to be frozen: not after 10 ms"));
}

TEST(CgroupPopulated, IsFalseForAGroupThatIsGone) {
  const FakeGroup group;
  const auto populated = group.Open().Populated();
  ASSERT_TRUE(Succeeded(populated));
  EXPECT_FALSE(*populated);
  EXPECT_TRUE(Succeeded(group.Open().WaitEmpty(milliseconds(0))));
}

TEST(CgroupProcesses, AreThoseHereOrThoseBelowToo) {
  const FakeGroup group({{"cgroup.procs", "12\n0\n7\n"}, {"x/cgroup.procs", "5\n"}, {"x/y/cgroup.procs", ""}});
  EXPECT_THAT(group.Open().Processes().value(), ElementsAre(12, 7));
  EXPECT_THAT(group.Open().ProcessesBelow().value(), ElementsAre(12, 7, 5));
}

}  // namespace
}  // namespace fermata::cgroups
