#include "sandbox/stats/cpu_rate.h"

#include <gtest/gtest.h>

namespace fermata::sandbox::stats {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(CpuRate, NeedsTwoReadings) {
  CpuRate rate;
  EXPECT_EQ(rate.Update(5'000'000'000, 100 * kSecond), std::nullopt);
  // Half a processor for two seconds.
  EXPECT_EQ(rate.Update(6'000'000'000, 102 * kSecond), 500'000'000U);
  EXPECT_EQ(rate.Update(6'000'000'000, 112 * kSecond), 0U);
}

TEST(CpuRate, GivesTheLastRateToWhoComesTooSoon) {
  CpuRate rate;
  (void)rate.Update(0, 0);
  EXPECT_EQ(rate.Update(100, kSecond / 2), std::nullopt);
  EXPECT_EQ(rate.Update(2'000'000'000, kSecond), 2'000'000'000U);
  EXPECT_EQ(rate.Update(9'000'000'000, kSecond + 5), 2'000'000'000U);
  EXPECT_EQ(rate.Update(2'000'000'000, 3 * kSecond), 0U) << "from the base, not from the one that came too soon";
}

TEST(CpuRate, BeginsAgainWhenTheCounterDoes) {
  CpuRate rate;
  (void)rate.Update(5'000'000'000, kSecond);
  EXPECT_EQ(rate.Update(1'000'000'000, 3 * kSecond), std::nullopt);
  EXPECT_EQ(rate.Update(2'000'000'000, 4 * kSecond), 1'000'000'000U);
}

}  // namespace
}  // namespace fermata::sandbox::stats
