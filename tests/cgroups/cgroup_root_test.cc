// Cgroup on the kernel: births, kills, freezing, events, removal.
#include "cgroups/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "cgroups/stats.h"
#include "tests/cgroups/real_group.h"

namespace fermata::cgroups {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

// Prints nothing and stays; its children stay as well.
constexpr char kTree[] = "(sleep 1000 & sleep 1000) & sh -c 'sleep 1000' & wait";

// Doubles itself up to 64 processes, then they stay: a fork bomb that does not outgrow the machine.
constexpr char kForkBomb[] =
    "bomb() { [ \"$1\" -gt 0 ] || exec sleep 1000; bomb $(($1 - 1)) & bomb $(($1 - 1)); }; bomb 6";

class CgroupRoot : public RealGroup {
 protected:
  // Until at least `count` processes live in the group.
  static void AwaitProcesses(const Cgroup& group, size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      const auto pids = group.ProcessesBelow();
      ASSERT_TRUE(Succeeded(pids));
      if (pids->size() >= count) return;
      std::this_thread::yield();
    }
    FAIL() << "fewer than " << count << " processes";
  }
};

TEST_F(CgroupRoot, AProcessIsBornInItsGroup) {
  auto process = Shell(group_, "exec sleep 1000");
  ASSERT_TRUE(Succeeded(process));
  EXPECT_THAT(group_.Processes().value(), Contains(process->pid));
  EXPECT_TRUE(group_.Populated().value());
  ASSERT_TRUE(Succeeded(group_.Kill()));
  EXPECT_EQ(Reap(process->pidfd).value(), 128 + SIGKILL);
  EXPECT_TRUE(Succeeded(group_.WaitEmpty(kPatience)));
  EXPECT_FALSE(group_.Populated().value());
}

TEST_F(CgroupRoot, KillEndsAWholeTreeInSubgroupsToo) {
  const auto below = group_.Create("container/exec-1");
  ASSERT_TRUE(Succeeded(below));
  auto first = Shell(group_, kTree);
  auto second = Shell(below->cgroup, kTree);
  ASSERT_TRUE(Succeeded(first));
  ASSERT_TRUE(Succeeded(second));
  AwaitProcesses(group_, 8);
  ASSERT_TRUE(Succeeded(group_.Kill()));
  EXPECT_EQ(Reap(first->pidfd).value(), 128 + SIGKILL);
  EXPECT_EQ(Reap(second->pidfd).value(), 128 + SIGKILL);
  ASSERT_TRUE(Succeeded(group_.WaitEmpty(kPatience)));
  EXPECT_THAT(group_.ProcessesBelow().value(), IsEmpty());
}

TEST_F(CgroupRoot, KillOutrunsAForkBomb) {
  auto bomb = Shell(group_, kForkBomb);
  ASSERT_TRUE(Succeeded(bomb));
  AwaitProcesses(group_, 8);  // still growing
  ASSERT_TRUE(Succeeded(group_.Kill()));
  EXPECT_EQ(Reap(bomb->pidfd).value(), 128 + SIGKILL);
  EXPECT_TRUE(Succeeded(group_.WaitEmpty(kPatience)));
}

TEST_F(CgroupRoot, AFrozenGroupStandsStillAndGoesOnWhenThawed) {
  auto process = Shell(group_, "while :; do :; done");
  ASSERT_TRUE(Succeeded(process));
  ASSERT_TRUE(Succeeded(group_.Freeze(kPatience)));
  const uint64_t before = Read(group_)->cpu->usage_us;
  std::this_thread::sleep_for(milliseconds(30));  // time for it to run, if it were to
  const uint64_t frozen = Read(group_)->cpu->usage_us;
  EXPECT_EQ(frozen, before);
  ASSERT_TRUE(Succeeded(group_.Thaw(kPatience)));
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_GT(Read(group_)->cpu->usage_us, frozen);
  ASSERT_TRUE(Succeeded(group_.Kill()));
  EXPECT_TRUE(Succeeded(Reap(process->pidfd)));
}

TEST_F(CgroupRoot, KillReachesAFrozenGroup) {
  auto process = Shell(group_, "exec sleep 1000");
  ASSERT_TRUE(Succeeded(process));
  ASSERT_TRUE(Succeeded(group_.Freeze(kPatience)));
  ASSERT_TRUE(Succeeded(group_.Kill()));
  EXPECT_EQ(Reap(process->pidfd).value(), 128 + SIGKILL);
  EXPECT_TRUE(Succeeded(group_.WaitEmpty(kPatience)));
}

TEST_F(CgroupRoot, WaitEmptyIsWokenByTheEventAndNotByItsDeadline) {
  auto process = Shell(group_, "exec sleep 0.05");
  ASSERT_TRUE(Succeeded(process));
  EXPECT_TRUE(FailsWith(ErrorCode::kDeadlineExceeded, group_.WaitEmpty(milliseconds(1))));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(Succeeded(group_.WaitEmpty(kPatience)));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience / 2);
  EXPECT_EQ(Reap(process->pidfd).value(), 0);
}

TEST_F(CgroupRoot, RemoveRefusesAGroupWithAProcessAndNamesIt) {
  const auto below = group_.Create("a/b");
  ASSERT_TRUE(Succeeded(below));
  auto process = Shell(below->cgroup, "exec sleep 1000");
  ASSERT_TRUE(Succeeded(process));
  const auto removed = group_.Remove("a");
  EXPECT_TRUE(FailsWith(ErrorCode::kFailedPrecondition, removed));
  EXPECT_EQ(removed.error().saved_errno(), EBUSY);
  EXPECT_THAT(removed.error().message(), HasSubstr(Name() + "/a/b"));
  ASSERT_TRUE(Succeeded(below->cgroup.Kill()));
  EXPECT_TRUE(Succeeded(Reap(process->pidfd)));
  EXPECT_TRUE(Succeeded(group_.Remove("a")));
  EXPECT_TRUE(Succeeded(group_.Remove("a")));
}

TEST_F(CgroupRoot, AGroupMadeAgainIsNotTheOneHeld) {
  const auto first = group_.Create("x");
  ASSERT_TRUE(Succeeded(first));
  ASSERT_TRUE(Succeeded(group_.Remove("x")));
  const auto second = group_.Create("x");
  ASSERT_TRUE(Succeeded(second));
  auto process = Shell(second->cgroup, "exec sleep 1000");
  ASSERT_TRUE(Succeeded(process));
  EXPECT_FALSE(first->cgroup.Kill());
  EXPECT_FALSE(first->cgroup.Populated().value());
  EXPECT_TRUE(Succeeded(first->cgroup.WaitEmpty(milliseconds(0))));
  EXPECT_TRUE(FailsWith(ErrorCode::kNotFound, Read(first->cgroup)));
  EXPECT_TRUE(second->cgroup.Populated().value());
  ASSERT_TRUE(Succeeded(second->cgroup.Kill()));
  EXPECT_TRUE(Succeeded(Reap(process->pidfd)));
}

TEST_F(CgroupRoot, AddProcessMovesOneThere) {
  const auto below = group_.Create("x");
  ASSERT_TRUE(Succeeded(below));
  auto process = Shell(group_, "exec sleep 1000");
  ASSERT_TRUE(Succeeded(process));
  EXPECT_TRUE(Succeeded(below->cgroup.AddProcess(process->pid)));
  EXPECT_THAT(group_.Processes().value(), IsEmpty());
  EXPECT_THAT(below->cgroup.Processes().value(), Contains(process->pid));
  ASSERT_TRUE(Succeeded(group_.Kill()));
  EXPECT_TRUE(Succeeded(Reap(process->pidfd)));
}

TEST_F(CgroupRoot, StatisticsSeeTheWorkOfAProcess) {
  EXPECT_EQ(RunShell(group_, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"), 0);
  auto process = Shell(group_, "exec sleep 1000");
  ASSERT_TRUE(Succeeded(process));
  const auto stats = Read(group_);
  ASSERT_TRUE(Succeeded(stats));
  EXPECT_GT(stats->cpu->usage_us, 0U);
  ASSERT_TRUE(stats->memory);
  EXPECT_GT(stats->memory->rss_bytes, 0U);
  ASSERT_TRUE(Succeeded(group_.Kill()));
  EXPECT_TRUE(Succeeded(Reap(process->pidfd)));
}

}  // namespace
}  // namespace fermata::cgroups
