// Counting, and what a family shows of it.
#include "runtime/base/metrics.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

namespace fermata::metrics {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST(Metrics, CountsByLabelFromManyThreads) {
  Family family(Kind::kCounter, "test_total", "a test", {"kind"});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) family.With({n % 2 == 0 ? "even" : "odd"}).Add();
    });
  }
  for (std::thread& thread : threads) thread.join();
  const FamilyValue value = family.Read();
  ASSERT_THAT(value.series, SizeIs(2)) << "the same labels are one series, whoever made it";
  EXPECT_THAT(value.series[0].labels, ElementsAre("even"));
  EXPECT_EQ(value.series[0].value, 2000);
  EXPECT_EQ(value.series[1].value, 2000);
}

TEST(Metrics, AHistogramHasAValueAtItsBoundBelowIt) {
  Family family(Kind::kHistogram, "test_seconds", "a test");
  family.With().Observe(std::chrono::milliseconds(1));
  family.With().Observe(std::chrono::microseconds(1001));
  family.With().Observe(std::chrono::hours(1));
  const FamilyValue value = family.Read();
  ASSERT_THAT(value.series, SizeIs(1));
  EXPECT_EQ(value.series[0].buckets.at(0), 1U);
  EXPECT_EQ(value.series[0].buckets.at(1), 1U);
  EXPECT_EQ(value.series[0].buckets.back(), 1U);
  EXPECT_NEAR(value.series[0].value, 3600.002001, 1e-9);
}

TEST(Metrics, LabelsThatSomebodyInventsDoNotFillTheMemory) {
  Family family(Kind::kCounter, "test_total", "a test", {"name", "verb"});
  for (int i = 0; i < 1000; ++i) family.With({std::to_string(i), "GET"}).Add();
  const FamilyValue value = family.Read();
  EXPECT_THAT(value.series, SizeIs(Family::kMaxSeries + 1));
  const auto rest = std::find_if(value.series.begin(), value.series.end(),
                                 [](const SeriesValue& one) { return one.labels[0] == "other"; });
  ASSERT_NE(rest, value.series.end());
  EXPECT_THAT(rest->labels, Each("other"));
  EXPECT_EQ(rest->value, 1000 - Family::kMaxSeries);
}

TEST(Metrics, AFamilyIsCollectedForAsLongAsItLives) {
  const auto names = [] {
    std::vector<std::string> all;
    for (const FamilyValue& family : Collect()) all.push_back(family.name);
    return all;
  };
  {
    const Family family(Kind::kGauge, "test_of_this_test", "a test");
    EXPECT_THAT(names(), Contains("test_of_this_test"));
  }
  EXPECT_THAT(names(), ::testing::Not(Contains("test_of_this_test")));
}

// Not a test of the machine: the bound is a hundred times what it takes, and tells a lock or an allocation apart.
TEST(Metrics, CountingCostsNanoseconds) {
  Family family(Kind::kHistogram, "test_seconds", "a test", {"method", "code"});
  for (int i = 0; i < 30; ++i) family.With({"method" + std::to_string(i), "OK"});
  constexpr int kTimes = 100'000;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kTimes; ++i) family.With({"method0", "OK"}).Observe(std::chrono::milliseconds(3));
  const auto each = (std::chrono::steady_clock::now() - begin) / kTimes;
  RecordProperty("nanoseconds", static_cast<int>(each.count()));
  EXPECT_LT(each, std::chrono::microseconds(20));
}

}  // namespace
}  // namespace fermata::metrics
