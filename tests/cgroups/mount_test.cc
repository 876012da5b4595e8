#include "cgroups/mount.h"

#include <gtest/gtest.h>

#include "tests/cgroups/fake_group.h"

namespace fermata::cgroups {
namespace {

TEST(ParseCgroup2Mount, OnAHybridHostFindsTheV2MountAmongTheV1Ones) {
  const auto mount = ParseCgroup2Mount(
      "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n");
  ASSERT_TRUE(Succeeded(mount));
  EXPECT_EQ(*mount, "/sys/fs/cgroup/unified");
}

TEST(ParseCgroup2Mount, OnAPureV2HostFindsTheOne) {
  const auto mount = ParseCgroup2Mount(
      "29 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate");
  ASSERT_TRUE(Succeeded(mount));
  EXPECT_EQ(*mount, "/sys/fs/cgroup");
}

TEST(ParseCgroup2Mount, DecodesOctalEscapes) {
  const auto mount = ParseCgroup2Mount("41 31 0:38 / /mnt/my\\040groups\\134x\\011 rw - cgroup2 none rw\n");
  ASSERT_TRUE(Succeeded(mount));
  EXPECT_EQ(*mount, "/mnt/my groups\\x\t");
}

TEST(ParseCgroup2Mount, KeepsABackslashThatIsNoEscape) {
  const auto mount = ParseCgroup2Mount("41 31 0:38 / /mnt/a\\04 rw - cgroup2 none rw\n");
  ASSERT_TRUE(Succeeded(mount));
  EXPECT_EQ(*mount, "/mnt/a\\04");
}

TEST(ParseCgroup2Mount, PrefersTheWholeHierarchyToAPartOfIt) {
  const auto mount = ParseCgroup2Mount(
      "41 31 0:38 /pod /run/part rw - cgroup2 none rw\n"
      "42 31 0:38 / /run/whole rw - cgroup2 none rw\n");
  ASSERT_TRUE(Succeeded(mount));
  EXPECT_EQ(*mount, "/run/whole");
  EXPECT_EQ(*ParseCgroup2Mount("41 31 0:38 /pod /run/part rw - cgroup2 none rw\n"), "/run/part");
}

TEST(ParseCgroup2Mount, IsNotMisledByAMountPointOrSourceOfThatName) {
  EXPECT_TRUE(
      FailsWith(ErrorCode::kNotFound, ParseCgroup2Mount("41 31 0:38 / /cgroup2 rw shared:1 - tmpfs cgroup2 rw\n")));
}

TEST(ParseCgroup2Mount, SurvivesLinesThatAreNone) {
  for (const char* text : {"", "\n\n", "1", "- cgroup2", "1 2 3 4 5 6 -", "1 2 3 4 5 6 7 8 9", "a b c d e f - "}) {
    EXPECT_TRUE(FailsWith(ErrorCode::kNotFound, ParseCgroup2Mount(text)));
  }
}

}  // namespace
}  // namespace fermata::cgroups
