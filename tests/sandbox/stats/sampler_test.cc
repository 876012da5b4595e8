// Groups are directories with plain files; time is the test's.
#include "sandbox/stats/sampler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/cgroups/fake_group.h"

namespace fermata::sandbox::stats {
namespace {

using cgroups::FailsWith;
using cgroups::Succeeded;

class SamplerTest : public ::testing::Test {
 protected:
  static constexpr int64_t kSecond = 1'000'000'000;
  void Pass(int64_t ns) {
    now_.wall_ns += ns;
    now_.steady_ns += ns;
  }

  cgroups::FakeGroup root_{{{"pod/c1/cpu.stat", "usage_usec 1000000\n"}, {"pod/c1/memory.current", "100\n"}}};
  cgroups::Cgroup mount_ = root_.Open();
  Moment now_{.wall_ns = int64_t{1'700'000'000} * kSecond, .steady_ns = 5 * kSecond};
  Sampler sampler_{mount_, [this] { return now_; }};
  const GroupName c1_{"c1", "pod/c1"};
};

TEST_F(SamplerTest, MakesARateOfTwoSamplesWithTheirOwnTimes) {
  const auto first = sampler_.Sample(c1_);
  ASSERT_TRUE(Succeeded(first));
  EXPECT_EQ(first->stats.timestamp_ns, now_.wall_ns);
  EXPECT_EQ(first->usage_nano_cores, std::nullopt);
  root_.Write("pod/c1/cpu.stat", "usage_usec 2000000\n");
  Pass(4 * kSecond);
  const auto second = sampler_.Sample(c1_);
  EXPECT_EQ(second->usage_nano_cores, 250'000'000U);
  EXPECT_EQ(second->stats.timestamp_ns, first->stats.timestamp_ns + 4 * kSecond);
}

TEST_F(SamplerTest, IsNotMisledByAClockThatWasSet) {
  (void)sampler_.Sample(c1_);
  root_.Write("pod/c1/cpu.stat", "usage_usec 3000000\n");
  Pass(2 * kSecond);
  now_.wall_ns -= 3600 * kSecond;
  EXPECT_EQ(sampler_.Sample(c1_)->usage_nano_cores, 1'000'000'000U);
}

TEST_F(SamplerTest, KeepsOneDescriptorAGroupUntilItIsForgotten) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Succeeded(sampler_.Sample(c1_)));
  EXPECT_TRUE(Succeeded(sampler_.Details(c1_)));
  EXPECT_EQ(sampler_.held(), 1U);
  sampler_.Forget("c1");
  EXPECT_EQ(sampler_.held(), 0U);
  sampler_.Forget("c1");
}

TEST_F(SamplerTest, ReadsContentionByTheSameDescriptor) {
  EXPECT_TRUE(Succeeded(sampler_.Sample(c1_)));
  root_.Write("pod/c1/cpu.stat", "usage_usec 1\nnr_throttled 2\nthrottled_usec 30\n");
  const auto contention = sampler_.Contention(c1_);
  ASSERT_TRUE(Succeeded(contention));
  EXPECT_EQ(contention->throttled_us, 30U);
  EXPECT_FALSE(contention->cpu_pressure);
  EXPECT_EQ(sampler_.held(), 1U);
}

TEST_F(SamplerTest, SaysThatAGroupIsNotThere) {
  EXPECT_TRUE(FailsWith(ErrorCode::kNotFound, sampler_.Sample({"c2", "pod/c2"})));
  EXPECT_EQ(sampler_.held(), 0U);
  EXPECT_TRUE(Succeeded(sampler_.Sample(c1_)));
  std::filesystem::remove_all(root_.path() / "pod/c1");
  EXPECT_TRUE(FailsWith(ErrorCode::kNotFound, sampler_.Sample(c1_)));
  EXPECT_EQ(sampler_.held(), 0U);
}

TEST_F(SamplerTest, FindsAGroupThatWasMadeAgain) {
  EXPECT_TRUE(Succeeded(sampler_.Sample(c1_)));
  std::filesystem::remove_all(root_.path() / "pod/c1");
  root_.Write("pod/c1/cpu.stat", "usage_usec 7\n");
  const auto sample = sampler_.Sample(c1_);
  ASSERT_TRUE(Succeeded(sample));
  EXPECT_EQ(sample->stats.cpu->usage_us, 7U);
  EXPECT_EQ(sample->usage_nano_cores, std::nullopt) << "the old group's numbers are not its";
}

TEST_F(SamplerTest, LeavesOutWhatTheKernelDoesNotHave) {
  const auto sample = sampler_.Sample(c1_);
  ASSERT_TRUE(Succeeded(sample));
  EXPECT_FALSE(sample->stats.pids);
  EXPECT_FALSE(sample->stats.io);
  EXPECT_FALSE(sample->stats.swap_bytes);
  EXPECT_FALSE(sample->stats.cpu_pressure);
}

TEST_F(SamplerTest, ReadsTheNetworkOfAProcessOfTheGroupOnly) {
  root_.Write("pod/s/cgroup.procs", std::to_string(::getpid()) + "\n");
  root_.Write("pod/other/cgroup.procs", "1\n");
  EXPECT_TRUE(FailsWith(ErrorCode::kNotFound, sampler_.Interfaces({"other", "pod/other"}, ::getpid())))
      << "the number is another process's";
  EXPECT_EQ(sampler_.held(), 0U);
  const auto interfaces = sampler_.Interfaces({"s", "pod/s"}, ::getpid());
  ASSERT_TRUE(Succeeded(interfaces));
  EXPECT_FALSE(interfaces->empty());
  EXPECT_EQ(sampler_.held(), 1U);
  EXPECT_TRUE(FailsWith(ErrorCode::kNotFound, sampler_.Interfaces({"gone", "pod/s"}, 999'999'999)));
}

TEST_F(SamplerTest, CountsTheProcessesOfAllGroupsBelow) {
  root_.Write("pod/c1/cgroup.procs", "1\n2\n");
  root_.Write("pod/c1/exec-1/cgroup.procs", "3\n");
  EXPECT_EQ(sampler_.Processes(c1_, ProcessDetail::kCount)->processes, 3U);
}

}  // namespace
}  // namespace fermata::sandbox::stats
