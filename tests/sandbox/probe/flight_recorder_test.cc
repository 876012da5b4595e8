// The record of what probes came to.
#include "sandbox/probe/flight_recorder.h"

#include <gmock/gmock.h>

#include <thread>

namespace fermata::sandbox::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::EndsWith;
using ::testing::StartsWith;

constexpr int64_t kSecond = 1'000'000'000;

ProbeReport Report(Outcome outcome, const std::string& output = "", const std::string& container = "c1") {
  return {.container = ContainerId(container),
          .result = {outcome, output},
          .changed = true,
          .streak = 2,
          .lateness = milliseconds(3),
          .latency = milliseconds(500)};
}

cgroups::Contention Throttled(uint64_t periods, uint64_t microseconds) {
  cgroups::Contention contention;
  contention.throttled_periods = periods;
  contention.throttled_us = microseconds;
  contention.cpu_pressure = cgroups::Pressure{{.average10 = 12.5}, {.average10 = 2}};
  return contention;
}

FlightEnd At(int64_t second) { return {second * kSecond, std::chrono::steady_clock::time_point(seconds(second))}; }

class FlightRecorderTest : public ::testing::Test {
 protected:
  void Record(const ProbeReport& report, const std::optional<cgroups::Contention>& contention, int64_t second) {
    recorder_.Record("c", ProbeType::kLiveness, report, contention, At(second));
  }
  std::vector<Flight> All() { return recorder_.Last("c", ProbeType::kLiveness); }

  FlightRecorder recorder_;
};

TEST_F(FlightRecorderTest, AFlightHasAllThatIsKnown) {
  Record(Report(Outcome::kFailure, "not yet\n"), Throttled(5, 1000), 100);
  const Flight flight = All().at(0);
  EXPECT_EQ(flight.number, 1U);
  EXPECT_EQ(flight.at_ns, 100 * kSecond - kSecond / 2) << "when it began";
  EXPECT_EQ(flight.lateness, milliseconds(3));
  EXPECT_EQ(flight.latency, milliseconds(500));
  EXPECT_EQ(flight.outcome, Outcome::kFailure);
  EXPECT_EQ(flight.output, "not yet");
  EXPECT_EQ(flight.streak, 2);
  EXPECT_TRUE(flight.changed);
  EXPECT_EQ(flight.throttled_us, std::nullopt) << "nothing to compare it with";
  EXPECT_EQ(flight.cpu->some, 12.5);
  EXPECT_EQ(flight.cpu->full, 2);
  EXPECT_FALSE(flight.memory || flight.io);
}

TEST_F(FlightRecorderTest, ThrottlingIsWhatCameSinceTheFlightBeforeOfTheSameInstance) {
  Record(Report(Outcome::kSuccess), Throttled(5, 1000), 100);
  Record(Report(Outcome::kSuccess), Throttled(8, 61000), 110);
  EXPECT_EQ(All().back().throttled_periods, 3U);
  EXPECT_EQ(All().back().throttled_us, 60000U);
  EXPECT_EQ(All().back().since, seconds(10));
  Record(Report(Outcome::kSuccess, "", "c2"), Throttled(9, 70000), 120);
  EXPECT_EQ(All().back().throttled_us, std::nullopt) << "another instance";
  Record(Report(Outcome::kSuccess, "", "c2"), Throttled(1, 10), 130);
  EXPECT_EQ(All().back().throttled_us, std::nullopt) << "counters never go back";
}

TEST_F(FlightRecorderTest, WhatIsMissingIsAbsent) {
  Record(Report(Outcome::kSuccess), Throttled(5, 1000), 100);
  Record(Report(Outcome::kSuccess), std::nullopt, 110);
  Record(Report(Outcome::kSuccess), Throttled(5, 1000), 120);
  for (const Flight& flight : All()) EXPECT_EQ(flight.throttled_us, std::nullopt);
  EXPECT_FALSE(All().at(1).cpu);
}

TEST_F(FlightRecorderTest, FiftyAreKeptOfEachProbe) {
  for (int i = 1; i <= 60; ++i) Record(Report(Outcome::kSuccess), std::nullopt, i);
  recorder_.Record("c", ProbeType::kReadiness, Report(Outcome::kFailure), std::nullopt, At(1));
  ASSERT_EQ(All().size(), kFlightsKept);
  EXPECT_EQ(All().front().number, 11U);
  EXPECT_EQ(All().back().number, 60U);
  const std::vector<Flight> last = recorder_.Last("c", ProbeType::kLiveness, 2);
  ASSERT_EQ(last.size(), 2U);
  EXPECT_EQ(last.front().number, 59U);
  EXPECT_EQ(recorder_.Last("c", ProbeType::kReadiness).size(), 1U);
  EXPECT_TRUE(recorder_.Last("other", ProbeType::kReadiness).empty());
}

TEST_F(FlightRecorderTest, OutputIsPrintableAndCut) {
  Record(Report(Outcome::kFailure, "a\x1b[2J\nb" + std::string(10000, 'x')), std::nullopt, 1);
  const std::string output = All().back().output;
  EXPECT_THAT(output, StartsWith("a\\x1b[2J b"));
  EXPECT_THAT(output, EndsWith("x..."));
  EXPECT_LT(output.size(), 2 * kFlightOutputBytes);
}

TEST_F(FlightRecorderTest, ManyMayRecordAndReadAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int j = 0; j < 200; ++j) {
        Record(Report(Outcome::kSuccess, "ok"), Throttled(1, 1), j);
        (void)All();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(All().back().number, 800U);
}

TEST(Percentile, IsTheNearestRank) {
  EXPECT_EQ(Percentile({}, 99).count(), 0);
  std::vector<std::chrono::nanoseconds> values;
  for (int i = 100; i > 0; --i) values.emplace_back(i);
  EXPECT_EQ(Percentile(values, 50).count(), 50);
  EXPECT_EQ(Percentile(values, 99).count(), 99);
  EXPECT_EQ(Percentile({seconds(1)}, 50), seconds(1));
}

}  // namespace
}  // namespace fermata::sandbox::probe
