// The prober around the workers: who is run, who waits, and that nothing is called after its end.
#include "sandbox/probe/prober.h"

#include <gtest/gtest.h>

#include <atomic>

namespace fermata::sandbox::probe {
namespace {

using std::chrono::seconds;

const SandboxId kPod("p");
const ContainerId kContainer("c1");

// A container that runs, and probes whose results the test gives.
class ProberTest : public testing::Test {
 protected:
  Prober::Outside Outside() {
    return {
        .run =
            [this](const ProbeTarget& target, const ProbeSpec&, ProbeDone done) {
              EXPECT_EQ(target.container, kContainer);
              const std::lock_guard lock(mutex_);
              waiting_.push_back(std::move(done));
              changed_.notify_all();
            },
        .look =
            [](const ProbeKey&) {
              return ContainerFacts{
                  .container_id = kContainer.str(), .running = true, .will_restart = true, .running_for = seconds(100)};
            },
        .told =
            [this](const ProbeKey& key, const ProbeReport& report) {
              const std::lock_guard lock(mutex_);
              if (report.changed) told_.push_back(key);
              if (report.result.outcome != Outcome::kUnknown) reports_.push_back(report);
              changed_.notify_all();
            }};
  }
  // Waits for a run.
  ProbeDone Take() {
    std::unique_lock lock(mutex_);
    const bool runs = changed_.wait_for(lock, seconds(20), [this] { return !waiting_.empty(); });
    EXPECT_TRUE(runs);
    if (!runs) return [](const ProbeResult&) {};
    ProbeDone done = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    return done;
  }
  // Waits for a run and gives its result.
  void Answer(Outcome outcome) { Take()({outcome, ""}); }
  // Of the n-th run; waits for it.
  ProbeReport Told(size_t n) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, seconds(20), [&] { return reports_.size() > n; }));
    return reports_.size() > n ? reports_[n] : ProbeReport();
  }
  size_t Waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<ProbeDone> waiting_;
  std::vector<ProbeKey> told_;
  std::vector<ProbeReport> reports_;
};

ProbeKey Key(ProbeType type) { return {kPod, "c", type}; }

TEST_F(ProberTest, StartupGatesLivenessUntilItSucceeds) {
  Prober prober(Outside());
  prober.Add(Key(ProbeType::kStartup), {.period = seconds(1)});
  Answer(Outcome::kFailure);
  EXPECT_EQ(prober.ResultOf(Key(ProbeType::kStartup), kContainer), Verdict::kUnknown);
  prober.Add(Key(ProbeType::kReadiness), {.period = seconds(100)});
  prober.Trigger(Key(ProbeType::kReadiness));  // not started: it does not run
  Answer(Outcome::kSuccess);
  EXPECT_EQ(prober.ResultOf(Key(ProbeType::kStartup), kContainer), Verdict::kSuccess);
  prober.Trigger(Key(ProbeType::kReadiness));
  Answer(Outcome::kSuccess);
  EXPECT_EQ(prober.ResultOf(Key(ProbeType::kReadiness), kContainer), Verdict::kSuccess);
}

TEST_F(ProberTest, AnErrorIsRunAgainAtOnceThreeTimesInAll) {
  Prober prober(Outside());
  prober.Add(Key(ProbeType::kLiveness), {.period = seconds(1), .failure_threshold = 1});
  for (int i = 0; i < 3; ++i) Answer(Outcome::kError);
  EXPECT_EQ(prober.ResultOf(Key(ProbeType::kLiveness), kContainer), Verdict::kSuccess);
  Answer(Outcome::kFailure);
  EXPECT_EQ(prober.ResultOf(Key(ProbeType::kLiveness), kContainer), Verdict::kFailure);
}

TEST_F(ProberTest, TwoOfOneTypeAreNeverInFlight) {
  Prober prober(Outside());
  prober.Add(Key(ProbeType::kReadiness), {.period = seconds(1)});
  std::unique_lock lock(mutex_);
  ASSERT_TRUE(changed_.wait_for(lock, seconds(20), [this] { return !waiting_.empty(); }));
  lock.unlock();
  for (int i = 0; i < 100; ++i) prober.Trigger(Key(ProbeType::kReadiness));
  EXPECT_EQ(Waiting(), 1U);
  Answer(Outcome::kSuccess);
  Answer(Outcome::kSuccess);  // the triggers meanwhile come to one more
}

TEST_F(ProberTest, ARunIsToldWithItsTimesAndHowOftenInARow) {
  Prober prober(Outside());
  prober.Add(Key(ProbeType::kLiveness), {.period = seconds(1), .failure_threshold = 2});
  Answer(Outcome::kFailure);
  Answer(Outcome::kFailure);
  EXPECT_EQ(Told(0).streak, 1);
  EXPECT_FALSE(Told(0).changed);
  EXPECT_EQ(Told(1).streak, 2) << "also where counting begins anew after it";
  EXPECT_TRUE(Told(1).changed);
  EXPECT_EQ(Told(1).container, kContainer);
  EXPECT_GT(Told(1).latency.count(), 0);
  EXPECT_GE(Told(1).lateness.count(), 0);
}

TEST_F(ProberTest, ARunThatIsDueBeforeTheOneBeforeItEndsIsNotLate) {
  using Clock = std::chrono::steady_clock;
  Prober prober(Outside());
  prober.Add(Key(ProbeType::kReadiness), {.period = seconds(100)});
  prober.Trigger(Key(ProbeType::kReadiness));
  const ProbeDone slow = Take();
  prober.Trigger(Key(ProbeType::kReadiness));  // due now
  const auto due = Clock::now();
  while (Clock::now() < due + std::chrono::milliseconds(50)) std::this_thread::yield();
  const auto ends = Clock::now();
  slow({Outcome::kSuccess, ""});
  const ProbeDone next = Take();
  const auto begun = Clock::now();
  next({Outcome::kSuccess, ""});
  EXPECT_GE(Told(0).latency, std::chrono::milliseconds(50));
  EXPECT_LE(Told(1).lateness, begun - ends);
}

TEST_F(ProberTest, WhatWaitedForAThreadWasLateNotSlow) {
  Prober prober(Outside());
  prober.Add(Key(ProbeType::kReadiness), {.period = seconds(100)});
  prober.Trigger(Key(ProbeType::kReadiness));
  Take()({Outcome::kSuccess, "", std::chrono::steady_clock::now() + seconds(5)});
  EXPECT_GE(Told(0).lateness, seconds(5));
  EXPECT_LE(Told(0).latency.count(), 0);
}

TEST_F(ProberTest, AResultThatComesAfterTheEndIsHeardByNobody) {
  ProbeDone late;
  {
    Prober prober(Outside());
    prober.Add(Key(ProbeType::kReadiness), {.period = seconds(1)});
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, seconds(20), [this] { return !waiting_.empty(); }));
    late = std::move(waiting_.front());
    told_.clear();
  }
  late({Outcome::kSuccess, ""});
  EXPECT_TRUE(told_.empty());
}

TEST_F(ProberTest, ARemovedPodIsForgotten) {
  Prober prober(Outside());
  prober.Add(Key(ProbeType::kReadiness), {});
  prober.Add({SandboxId("q"), "c", ProbeType::kReadiness}, {});
  prober.RemovePod(kPod);
  EXPECT_FALSE(prober.Has(Key(ProbeType::kReadiness)));
  EXPECT_TRUE(prober.Has({SandboxId("q"), "c", ProbeType::kReadiness}));
}

}  // namespace
}  // namespace fermata::sandbox::probe
