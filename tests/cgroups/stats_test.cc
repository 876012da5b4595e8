// The parsers with text of real files, and Read on a directory of such files.
#include "cgroups/stats.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/cgroups/fake_group.h"

namespace fermata::cgroups {
namespace {

TEST(ParseCpuStat, ReadsTimesAndThrottling) {
  const CpuStats cpu = ParseCpuStat(
      "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnice_usec 0\ncore_sched.force_idle_usec 0\n"
      "nr_periods 10\nnr_throttled 3\nthrottled_usec 77\nnr_bursts 0\nburst_usec 0\n");
  EXPECT_EQ(cpu.usage_us, 1500U);
  EXPECT_EQ(cpu.user_us, 1000U);
  EXPECT_EQ(cpu.system_us, 500U);
  EXPECT_EQ(cpu.periods, 10U);
  EXPECT_EQ(cpu.throttled_periods, 3U);
  EXPECT_EQ(cpu.throttled_us, 77U);
}

TEST(ParseMemoryStat, SubtractsTheInactivePageCacheFromTheWorkingSet) {
  const MemoryStats memory = ParseMemoryStat(
      "anon 300\nfile 700\nanon_thp 9\ninactive_file 400\nactive_file 300\npgfault 21\npgmajfault 2\n", 1000);
  EXPECT_EQ(memory.usage_bytes, 1000U);
  EXPECT_EQ(memory.working_set_bytes, 600U);
  EXPECT_EQ(memory.rss_bytes, 300U);
  EXPECT_EQ(memory.page_faults, 21U);
  EXPECT_EQ(memory.major_page_faults, 2U);
}

TEST(ParseMemoryStat, NeverGivesANegativeWorkingSet) {
  EXPECT_EQ(ParseMemoryStat("inactive_file 400\n", 100).working_set_bytes, 0U);
}

TEST(ParseIoStat, SumsTheDevices) {
  const IoStats io = ParseIoStat(
      "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n"
      "8:0 rbytes=800 wbytes=96 rios=8 wios=7\n"
      "7:0 \n");
  EXPECT_EQ(io.read_bytes, 1460000U);
  EXPECT_EQ(io.write_bytes, 314773600U);
  EXPECT_EQ(io.read_operations, 200U);
  EXPECT_EQ(io.write_operations, 360U);
}

TEST(ParsePressure, ReadsBothLinesOrOne) {
  const Pressure both = ParsePressure(
      "some avg10=1.50 avg60=0.25 avg300=0.01 total=12345\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=45\n");
  EXPECT_DOUBLE_EQ(both.some.average10, 1.5);
  EXPECT_DOUBLE_EQ(both.some.average60, 0.25);
  EXPECT_DOUBLE_EQ(both.some.average300, 0.01);
  EXPECT_EQ(both.some.total_us, 12345U);
  EXPECT_EQ(both.full.total_us, 45U);
  EXPECT_EQ(ParsePressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=3\n").full.total_us, 0U);
}

TEST(ParseNumber, TakesMaxForAbsent) {
  EXPECT_EQ(ParseNumber("42\n"), 42U);
  EXPECT_EQ(ParseNumber("18446744073709551615\n"), UINT64_MAX);
  for (const char* text : {"max\n", "", "12x", "-1", "18446744073709551616"}) {
    EXPECT_EQ(ParseNumber(text), std::nullopt) << text;
  }
}

TEST(ParseStatm, CountsResidentPages) {
  EXPECT_EQ(ParseStatm("1000 25 10 5 0 90 0\n", 4096), 25U * 4096);
  EXPECT_EQ(ParseStatm("", 4096), 0U);
  EXPECT_EQ(ParseStatm("1000", 4096), 0U);
}

TEST(Parsers, SurviveTextThatIsNone) {
  for (const char* text : {"", "\n", " ", "usage_usec", "usage_usec x", "=", "some", "some =", "rbytes=", "\0"}) {
    EXPECT_EQ(ParseCpuStat(text).usage_us, 0U);
    EXPECT_EQ(ParseIoStat(text).read_bytes, 0U);
    EXPECT_EQ(ParsePressure(text).some.total_us, 0U);
    EXPECT_EQ(ParseMemoryStat(text, 5).working_set_bytes, 5U);
  }
}

TEST(Read, TakesAllFromTheFiles) {
  const FakeGroup group({{"cpu.stat", "usage_usec 9\n"},
                         {"memory.current", "1000\n"},
                         {"memory.stat", "anon 100\ninactive_file 400\n"},
                         {"memory.max", "5000\n"},
                         {"memory.swap.current", "30\n"},
                         {"memory.swap.max", "64\n"},
                         {"pids.current", "4\n"},
                         {"io.stat", "8:0 rbytes=8\n"},
                         {"io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=6\n"}});
  const auto stats = Read(group.Open());
  ASSERT_TRUE(Succeeded(stats));
  EXPECT_GT(stats->timestamp_ns, 1'000'000'000'000'000'000);
  EXPECT_EQ(stats->cpu->usage_us, 9U);
  EXPECT_FALSE(stats->memory_estimated);
  EXPECT_EQ(stats->memory->working_set_bytes, 600U);
  EXPECT_EQ(stats->memory->limit_bytes, 5000U);
  EXPECT_EQ(stats->swap_bytes, 30U);
  EXPECT_EQ(stats->swap_limit_bytes, 64U);
  EXPECT_EQ(stats->pids, 4U);
  EXPECT_EQ(stats->io->read_bytes, 8U);
  EXPECT_EQ(stats->io_pressure->some.total_us, 6U);
  EXPECT_FALSE(stats->cpu_pressure);
}

TEST(Read, EstimatesMemoryFromTheProcessesWithoutAController) {
  const FakeGroup group({{"cpu.stat", ""}, {"cgroup.procs", "999999999\n"}});
  group.Write("sub/cgroup.procs", std::to_string(::getpid()) + "\n");
  const auto stats = Read(group.Open());
  ASSERT_TRUE(Succeeded(stats));
  EXPECT_TRUE(stats->memory_estimated);
  EXPECT_GT(stats->memory->rss_bytes, 100'000U);
  EXPECT_EQ(stats->memory->working_set_bytes, stats->memory->rss_bytes);
  EXPECT_FALSE(stats->memory->page_faults);
  EXPECT_FALSE(stats->pids);
  EXPECT_FALSE(stats->io);
  EXPECT_FALSE(stats->swap_bytes);
}

TEST(Read, TakesAFileThatIsLongerThanOneRead) {
  const FakeGroup group({{"cpu.stat", std::string(20000, '\n') + "usage_usec 9\n"}});
  EXPECT_EQ(Read(group.Open())->cpu->usage_us, 9U);
}

TEST(ReadDetails, TakesWhatIsThere) {
  const FakeGroup group({{"memory.peak", "77\n"},
                         {"memory.events", "low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\noom_group_kill 0\n"},
                         {"pids.max", "max\n"},
                         {"io.stat", "8:0 rbytes=8 wbytes=9 rios=1 wios=2 dbytes=0 dios=0\n"},
                         {"hugetlb.2MB.current", "2097152\n"}});
  const auto details = ReadDetails(group.Open());
  ASSERT_TRUE(Succeeded(details));
  EXPECT_EQ(details->memory_peak_bytes, 77U);
  EXPECT_EQ(details->memory_limit_hits, 4U);
  EXPECT_EQ(details->oom_kills, 1U);
  EXPECT_EQ(details->pids_limit, std::nullopt);
  ASSERT_EQ(details->io.size(), 1U);
  EXPECT_EQ(details->io[0].device, "8:0");
  EXPECT_EQ(details->io[0].io.write_operations, 2U);
  EXPECT_EQ(details->hugepage_bytes, (std::map<std::string, uint64_t>{{"2MB", 2097152}}));
  EXPECT_TRUE(Succeeded(ReadDetails(FakeGroup().Open())));
}

TEST(ReadContention, TellsWhatIsMissingFromZero) {
  FakeGroup group{{{"cpu.stat", "usage_usec 9\nnr_periods 10\nnr_throttled 3\nthrottled_usec 400\n"},
                   {"cpu.pressure", "some avg10=1.50 avg60=0 avg300=0 total=7\n"}}};
  const auto contention = ReadContention(group.Open());
  ASSERT_TRUE(Succeeded(contention));
  EXPECT_EQ(contention->throttled_periods, 3U);
  EXPECT_EQ(contention->throttled_us, 400U);
  EXPECT_EQ(contention->cpu_pressure->some.average10, 1.5);
  EXPECT_FALSE(contention->memory_pressure || contention->io_pressure);
  group.Write("cpu.stat", "usage_usec 9\n");
  EXPECT_EQ(ReadContention(group.Open())->throttled_us, std::nullopt);
}

TEST(Read, SaysThatAGroupIsGone) {
  const FakeGroup group;
  EXPECT_TRUE(FailsWith(ErrorCode::kNotFound, Read(group.Open())));
}

}  // namespace
}  // namespace fermata::cgroups
