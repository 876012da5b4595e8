// The table of settings: what is written, in which order, and what is refused before anything is written.
#include "cgroups/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cgroups/fake_group.h"

namespace fermata::cgroups {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::vector<ControlWrite> Rendered(const Resources& resources) {
  auto writes = RenderSettings(resources);
  EXPECT_TRUE(Succeeded(writes));
  return writes ? *writes : std::vector<ControlWrite>{};
}

TEST(WeightFromShares, MapsMinimumDefaultAndMaximumExactly) {
  EXPECT_EQ(WeightFromShares(2), 1U);
  EXPECT_EQ(WeightFromShares(1024), 100U);
  EXPECT_EQ(WeightFromShares(262144), 10000U);
}

TEST(WeightFromShares, StaysInRangeAndNeverFalls) {
  EXPECT_EQ(WeightFromShares(0), 1U);
  EXPECT_EQ(WeightFromShares(UINT64_MAX), 10000U);
  for (uint64_t shares = 2; shares < 262144; shares += 97) {
    ASSERT_LE(WeightFromShares(shares), WeightFromShares(shares + 97)) << shares;
  }
}

TEST(RenderSettings, WritesNothingThatWasNotAskedFor) { EXPECT_THAT(Rendered({}), IsEmpty()); }

TEST(RenderSettings, WritesEverythingInTheOrderThatLoweringNeeds) {
  Resources r;
  r.cpu_shares = 1024;
  r.cpu_quota_us = 50000;
  r.cpu_period_us = 200000;
  r.cpuset_cpus = "0-1";
  r.cpuset_mems = "0";
  r.memory_limit_bytes = 1000;
  r.memory_reservation_bytes = 500;
  r.swap_limit_bytes = 1500;
  r.pids_limit = 7;
  r.oom_group = true;
  r.hugepage_limits = {{"2MB", 2097152}};
  r.unified = {{"memory.high", "900"}};
  EXPECT_THAT(Rendered(r),
              ElementsAre(ControlWrite{"cpuset.mems", "0"}, ControlWrite{"cpuset.cpus", "0-1"},
                          ControlWrite{"cpu.weight", "100"}, ControlWrite{"cpu.max", "50000 200000"},
                          ControlWrite{"pids.max", "7"}, ControlWrite{"memory.oom.group", "1"},
                          ControlWrite{"memory.swap.max", "500"}, ControlWrite{"memory.max", "1000"},
                          ControlWrite{"memory.low", "500"}, ControlWrite{"hugetlb.2MB.max", "2097152"},
                          ControlWrite{"hugetlb.2MB.rsvd.max", "2097152"}, ControlWrite{"memory.high", "900"}));
}

TEST(RenderSettings, TakesNegativeLimitsAsNone) {
  Resources r;
  r.cpu_quota_us = -1;
  r.memory_limit_bytes = -1;
  r.swap_limit_bytes = -1;
  r.pids_limit = -1;
  EXPECT_THAT(Rendered(r), ElementsAre(ControlWrite{"cpu.max", "max 100000"}, ControlWrite{"pids.max", "max"},
                                       ControlWrite{"memory.swap.max", "max"}, ControlWrite{"memory.max", "max"}));
}

TEST(RenderSettings, GivesAPeriodWithoutAQuotaToNoQuota) {
  Resources r;
  r.cpu_period_us = 50000;
  EXPECT_THAT(Rendered(r), ElementsAre(ControlWrite{"cpu.max", "max 50000"}));
}

TEST(RenderSettings, TakesEqualMemoryAndSwapAsNoSwap) {
  Resources r;
  r.memory_limit_bytes = 1 << 20;
  r.swap_limit_bytes = 1 << 20;
  EXPECT_EQ(Rendered(r).front(), (ControlWrite{"memory.swap.max", "0"}));
}

TEST(RenderSettings, RefusesASwapLimitThatMakesNoSense) {
  Resources without_memory;
  without_memory.swap_limit_bytes = 100;
  EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, RenderSettings(without_memory)));
  without_memory.memory_limit_bytes = -1;
  EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, RenderSettings(without_memory)));
  Resources below;
  below.memory_limit_bytes = 200;
  below.swap_limit_bytes = 100;
  EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, RenderSettings(below)));
}

TEST(RenderSettings, WritesUnifiedValuesAsGivenAndOneLineAtATime) {
  Resources r;
  r.unified = {{"io.max", "8:0 rbps=1\n8:16 wbps=2\n"}, {"cgroup.max.depth", "3"}};
  EXPECT_THAT(Rendered(r), ElementsAre(ControlWrite{"cgroup.max.depth", "3"}, ControlWrite{"io.max", "8:0 rbps=1"},
                                       ControlWrite{"io.max", "8:16 wbps=2"}));
}

TEST(RenderSettings, RefusesUnifiedKeysThatAreNoNamesOfLimits) {
  for (const char* key : {"", "memory", "memory.", ".high", "memory..high", "../memory.max", "a/memory.max", "/x.y",
                          "memory.high\n", "Memory.high", "memory. high", "cgroup.procs", "cgroup.kill",
                          "cgroup.freeze", "cgroup.type", "cgroup.subtree_control"}) {
    Resources r;
    r.unified = {{key, "1"}};
    EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, RenderSettings(r)));
  }
}

TEST(RenderSettings, RefusesPageSizesThatAreNone) {
  for (const char* size : {"", "2", "MB", "2mb", "2M", "../2MB", "2MB.x", "-2MB"}) {
    Resources r;
    r.hugepage_limits = {{size, 1}};
    EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, RenderSettings(r)));
  }
}

TEST(Apply, FillsTheFilesOfTheGroup) {
  const FakeGroup group({{"cgroup.controllers", "cpu memory\n"}, {"cpu.weight", ""}, {"memory.max", ""}});
  Resources r;
  r.cpu_shares = 2;
  r.memory_limit_bytes = 4096;
  const auto report = Apply(group.Open(), r);
  ASSERT_TRUE(Succeeded(report));
  EXPECT_THAT(report->warnings, IsEmpty());
  EXPECT_EQ(group.Content("cpu.weight"), "1");
  EXPECT_EQ(group.Content("memory.max"), "4096");
}

TEST(Apply, NamesTheMissingControllersAndTheGroupAndWritesNothing) {
  const FakeGroup group({{"cgroup.controllers", "cpu\n"}, {"cpu.weight", ""}});
  Resources r;
  r.cpu_shares = 2;
  r.pids_limit = 5;
  r.memory_limit_bytes = 4096;
  const auto report = Apply(group.Open(), r);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_THAT(report.error().message(), HasSubstr(group.path().string() + ": pids.max = 5 needs the controller pids"));
  EXPECT_THAT(report.error().message(), HasSubstr("memory.max = 4096 needs the controller memory"));
  EXPECT_EQ(group.Content("cpu.weight"), "");
}

TEST(Apply, RecordsMissingControllersAndAppliesTheRestWhenAskedToWarn) {
  const FakeGroup group({{"cgroup.controllers", "cpu\n"}, {"cpu.weight", ""}});
  Resources r;
  r.cpu_shares = 2;
  r.pids_limit = 5;
  const auto report = Apply(group.Open(), r, MissingControllers::kWarn);
  ASSERT_TRUE(Succeeded(report));
  EXPECT_THAT(report->warnings, ElementsAre(HasSubstr("needs the controller pids")));
  EXPECT_EQ(group.Content("cpu.weight"), "1");
}

TEST(Apply, NeedsNoSwapFileToForbidOrAllowAllSwap) {
  const FakeGroup group({{"cgroup.controllers", "memory\n"}, {"memory.max", ""}});
  Resources r;
  r.memory_limit_bytes = 4096;
  r.swap_limit_bytes = 4096;
  EXPECT_TRUE(Succeeded(Apply(group.Open(), r)));
  r.swap_limit_bytes = 8192;
  EXPECT_FALSE(Apply(group.Open(), r));
}

TEST(Apply, ReportsAFileThatItsControllerDoesNotHaveEvenWhenAskedToWarn) {
  const FakeGroup group(FakeGroup::Files{{"cgroup.controllers", "memory\n"}});
  Resources r;
  r.unified = {{"memory.newest", "1"}};
  const auto report = Apply(group.Open(), r, MissingControllers::kWarn);
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message(), HasSubstr("memory.newest"));
  EXPECT_FALSE(std::filesystem::exists(group.path() / "memory.newest"));
}

TEST(Merge, LeavesWhatIsNotAskedFor) {
  Resources base;
  base.cpu_shares = 1024;
  base.memory_limit_bytes = 4096;
  base.unified = {{"memory.high", "1"}, {"pids.max", "5"}};
  Resources change;
  change.memory_limit_bytes = 8192;
  change.cpuset_cpus = "0";
  change.unified = {{"pids.max", "7"}};
  Resources merged = base;
  merged.memory_limit_bytes = 8192;
  merged.cpuset_cpus = "0";
  merged.unified["pids.max"] = "7";
  EXPECT_EQ(Merge(base, change), merged);
  EXPECT_EQ(Merge(base, {}), base);
}

TEST(Update, WritesOnlyWhatIsDifferent) {
  const FakeGroup group({{"cgroup.controllers", "cpu memory\n"}, {"cpu.weight", "untouched"}, {"memory.max", "max\n"}});
  Resources before;
  before.cpu_shares = 2;
  Resources after = before;
  after.memory_limit_bytes = 4096;
  ASSERT_TRUE(Succeeded(Update(group.Open(), before, after)));
  EXPECT_EQ(group.Content("cpu.weight"), "untouched");
  EXPECT_EQ(group.Content("memory.max"), "4096");
}

TEST(Update, WritesBackWhatItHadWrittenWhenALaterOneFails) {
  const FakeGroup group({{"cgroup.controllers", "cpu io memory\n"},
                         {"cpu.weight", "100\n"},
                         {"cpu.max", "max 100000\n"},
                         {"io.max", "8:0 rbps=1 wbps=max riops=max wiops=max\n8:16 rbps=2 wbps=2 riops=2 wiops=2\n"}});
  std::filesystem::create_directory(group.path() / "memory.high");
  Resources after;
  after.cpu_shares = 2;
  after.cpu_quota_us = 50000;
  after.unified = {{"io.max", "8:16 rbps=9"}, {"memory.high", "4096"}};
  const auto report = Update(group.Open(), {}, after);
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message(), HasSubstr("memory.high"));
  // Files of a test are written over, not replaced: what was longer shows behind.
  EXPECT_THAT(group.Content("cpu.weight"), StartsWith("100"));
  EXPECT_THAT(group.Content("cpu.max"), StartsWith("max 100000"));
  EXPECT_THAT(group.Content("io.max"), StartsWith("8:16 rbps=2 wbps=2 riops=2 wiops=2"));
}

TEST(Update, RefusesWhatCannotBeWritten) {
  const FakeGroup group({{"cgroup.controllers", "cpu memory\n"}, {"cpu.weight", ""}});
  std::filesystem::create_directory(group.path() / "memory.max");
  Resources after;
  after.memory_limit_bytes = 4096;
  EXPECT_THAT(Update(group.Open(), {}, after).error().message(), HasSubstr("update limits"));
  EXPECT_EQ(Update(group.Open(), {}, {.pids_limit = 1}).error().code(), ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace fermata::cgroups
