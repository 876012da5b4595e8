// kubelet's rules of a probe worker, each test named after its number in the specification of the prober.
#include "sandbox/probe/probe_worker.h"

#include <gtest/gtest.h>

namespace fermata::sandbox::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Step = ProbeWorker::Step;

constexpr ProbeWorker::TimePoint kBegin{std::chrono::hours(100)};

ContainerFacts Running(const std::string& id = "a", seconds for_time = seconds(100)) {
  ContainerFacts facts;
  facts.container_id = id;
  facts.running = true;
  facts.will_restart = true;
  facts.started = true;
  facts.running_for = for_time;
  return facts;
}
ContainerFacts NotStarted(const std::string& id = "a") {
  ContainerFacts facts = Running(id);
  facts.started = false;
  return facts;
}

// A worker, and a clock that goes from tick to tick.
class Rig {
 public:
  explicit Rig(ProbeType type, ProbeSpec spec = {}) : worker_(type, spec, kBegin) {}

  Step Tick(const ContainerFacts& facts) {
    now_ = std::max(now_, worker_.next_tick());
    return worker_.Tick(facts, now_);
  }
  // One tick at which the probe has to run, and its result.
  void Probe(const ContainerFacts& facts, Outcome outcome) {
    ASSERT_EQ(Tick(facts), Step::kProbe);
    EXPECT_EQ(worker_.Finish({outcome, ""}), ProbeWorker::After::kDone);
  }
  std::optional<Verdict> Result(const std::string& id = "a") { return worker_.ResultOf(id); }

  ProbeWorker worker_;
  ProbeWorker::TimePoint now_ = kBegin;
};

TEST(ProbeWorker, R2_2_InitialResults) {
  const std::pair<ProbeType, Verdict> rows[] = {{ProbeType::kReadiness, Verdict::kFailure},
                                                {ProbeType::kLiveness, Verdict::kSuccess},
                                                {ProbeType::kStartup, Verdict::kUnknown}};
  for (const auto& [type, verdict] : rows) {
    Rig rig(type);
    EXPECT_EQ(rig.Result(), std::nullopt);
    (void)rig.Tick(Running());
    EXPECT_EQ(rig.Result(), verdict);
    EXPECT_EQ(rig.Result("b"), std::nullopt);
  }
}

TEST(ProbeWorker, R2_4_ASlowProbeDropsTicksAndKeepsTheRhythm) {
  ProbeSpec spec;
  spec.period = seconds(10);
  ProbeWorker worker(ProbeType::kLiveness, spec, kBegin);
  EXPECT_EQ(worker.Tick(Running(), kBegin), Step::kProbe);
  EXPECT_EQ(worker.next_tick(), kBegin + seconds(10));
  // It took 34 s: one tick is waiting, two are dropped.
  EXPECT_EQ(worker.Tick(Running(), kBegin + seconds(34)), Step::kProbe);
  EXPECT_EQ(worker.next_tick(), kBegin + seconds(40));
  EXPECT_EQ(worker.Tick(Running(), kBegin + seconds(40)), Step::kProbe);
  EXPECT_EQ(worker.next_tick(), kBegin + seconds(50));
}

TEST(ProbeWorker, R2_5_ATriggerRunsItNowAndResetsTheTicker) {
  ProbeWorker worker(ProbeType::kReadiness, {}, kBegin);
  (void)worker.Tick(Running(), kBegin);
  worker.Trigger(kBegin + seconds(3));
  EXPECT_EQ(worker.next_tick(), kBegin + seconds(3));
  EXPECT_EQ(worker.Tick(Running(), kBegin + seconds(3)), Step::kProbe);
  EXPECT_EQ(worker.next_tick(), kBegin + seconds(13));
}

TEST(ProbeWorker, R2_6b_EndsWithThePod) {
  Rig rig(ProbeType::kReadiness);
  ContainerFacts facts = Running();
  facts.pod_over = true;
  EXPECT_EQ(rig.Tick(facts), Step::kEnd);
}

TEST(ProbeWorker, R2_6c_WaitsForAContainer) {
  Rig rig(ProbeType::kReadiness);
  EXPECT_EQ(rig.Tick({}), Step::kWait);
  EXPECT_EQ(rig.Tick(Running()), Step::kProbe);
}

TEST(ProbeWorker, R2_6d_ANewInstanceStartsAfresh) {
  Rig rig(ProbeType::kLiveness, {.failure_threshold = 1});
  rig.Probe(Running(), Outcome::kFailure);
  EXPECT_EQ(rig.Result(), Verdict::kFailure);
  EXPECT_TRUE(rig.worker_.on_hold());
  rig.Probe(Running("b"), Outcome::kSuccess);
  EXPECT_EQ(rig.Result("b"), Verdict::kSuccess);
  EXPECT_EQ(rig.Result("a"), std::nullopt);
  EXPECT_FALSE(rig.worker_.on_hold());
}

TEST(ProbeWorker, R2_6d_WhatAnEarlierDaemonFoundStands) {
  ContainerFacts facts = Running();
  facts.remembered = Verdict::kSuccess;
  Rig rig(ProbeType::kReadiness);
  (void)rig.Tick(facts);
  EXPECT_EQ(rig.Result(), Verdict::kSuccess);
}

TEST(ProbeWorker, R2_6d_AStartupThatAnEarlierDaemonSawIsNotProbedAgain) {
  ContainerFacts facts = Running();
  facts.started = false;  // nobody knows it before the worker has taken the container over
  facts.remembered = Verdict::kSuccess;
  Rig rig(ProbeType::kStartup);
  EXPECT_EQ(rig.Tick(facts), Step::kWait);
  EXPECT_EQ(rig.Result(), Verdict::kSuccess);
  facts.started = true;
  EXPECT_EQ(rig.Tick(facts), Step::kWait);
}

TEST(ProbeWorker, R2_6e_OnHoldItIsSkipped) {
  Rig rig(ProbeType::kLiveness, {.failure_threshold = 1});
  rig.Probe(Running(), Outcome::kFailure);
  EXPECT_EQ(rig.Tick(Running()), Step::kWait);
}

TEST(ProbeWorker, R2_6f_AContainerThatDoesNotRunHasFailed) {
  Rig rig(ProbeType::kReadiness);
  rig.Probe(Running(), Outcome::kSuccess);
  EXPECT_EQ(rig.Result(), Verdict::kSuccess);
  ContainerFacts exited = Running();
  exited.running = false;
  EXPECT_EQ(rig.Tick(exited), Step::kWait);
  EXPECT_EQ(rig.Result(), Verdict::kFailure);
  exited.will_restart = false;
  EXPECT_EQ(rig.Tick(exited), Step::kEnd);
}

TEST(ProbeWorker, R2_6g_OfADeletedPodOnlyReadinessGoesOn) {
  ContainerFacts deleted = Running();
  deleted.pod_deleted = true;
  Rig readiness(ProbeType::kReadiness);
  EXPECT_EQ(readiness.Tick(deleted), Step::kProbe);
  for (const ProbeType type : {ProbeType::kLiveness, ProbeType::kStartup}) {
    Rig rig(type);
    EXPECT_EQ(rig.Tick(deleted), Step::kEnd);
    EXPECT_EQ(rig.Result(), Verdict::kSuccess);
  }
}

TEST(ProbeWorker, R2_6h_TheInitialDelayCountsWholeSecondsFromTheStart) {
  ProbeSpec spec;
  spec.initial_delay = seconds(5);
  ProbeWorker worker(ProbeType::kReadiness, spec, kBegin);
  const ContainerFacts fresh = Running("a", seconds(0));
  EXPECT_EQ(worker.Tick(fresh, kBegin), Step::kWait);
  EXPECT_EQ(worker.Tick(fresh, kBegin + milliseconds(4999)), Step::kWait);
  EXPECT_EQ(worker.Tick(fresh, kBegin + seconds(5)), Step::kProbe);
  // Of the next instance anew.
  EXPECT_EQ(worker.Tick(Running("b", seconds(0)), kBegin + seconds(6)), Step::kWait);
}

TEST(ProbeWorker, R2_6i_StartupGatesTheOthersAndEndsWithSuccess) {
  Rig startup(ProbeType::kStartup);
  EXPECT_EQ(startup.Tick(NotStarted()), Step::kProbe);
  EXPECT_EQ(startup.Tick(Running()), Step::kWait);
  for (const ProbeType type : {ProbeType::kLiveness, ProbeType::kReadiness}) {
    Rig rig(type);
    EXPECT_EQ(rig.Tick(NotStarted()), Step::kWait);
    EXPECT_EQ(rig.Tick(Running()), Step::kProbe);
  }
}

TEST(ProbeWorker, R2_7_AnErrorIsTriedThreeTimesAndThrownAway) {
  Rig rig(ProbeType::kReadiness);
  rig.Probe(Running(), Outcome::kSuccess);
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(rig.Tick(Running()), Step::kProbe);
    EXPECT_EQ(rig.worker_.Finish({Outcome::kError, ""}), ProbeWorker::After::kAgain);
    EXPECT_EQ(rig.worker_.Finish({Outcome::kError, ""}), ProbeWorker::After::kAgain);
    EXPECT_EQ(rig.worker_.Finish({Outcome::kError, ""}), ProbeWorker::After::kDone);
  }
  EXPECT_EQ(rig.Result(), Verdict::kSuccess);
}

TEST(ProbeWorker, R2_8_UnknownIsFailureAndAWarningIsSuccess) {
  Rig rig(ProbeType::kReadiness, {.failure_threshold = 1});
  rig.Probe(Running(), Outcome::kWarning);
  EXPECT_EQ(rig.Result(), Verdict::kSuccess);
  rig.Probe(Running(), Outcome::kUnknown);
  EXPECT_EQ(rig.Result(), Verdict::kFailure);
}

struct CountRow {
  ProbeType type;
  int successes, failures;  // the thresholds
  std::string outcomes;     // S or F, one a tick
  std::string results;      // after each; of three kinds: S, F, U
};
TEST(ProbeWorker, R2_9_ThresholdsCountEqualResultsInARow) {
  const CountRow rows[] = {
      {ProbeType::kReadiness, 1, 3, "SFFSFFF", "SSSSSSF"}, {ProbeType::kReadiness, 2, 1, "SSFSS", "FSFFS"},
      {ProbeType::kReadiness, 3, 2, "SSFSSS", "FFFFFS"},   {ProbeType::kLiveness, 1, 3, "FFSFFF", "SSSSSF"},
      {ProbeType::kStartup, 1, 3, "FFF", "UUF"},           {ProbeType::kStartup, 1, 3, "FFS", "UUS"},
  };
  for (const CountRow& row : rows) {
    Rig rig(row.type, {.success_threshold = row.successes, .failure_threshold = row.failures});
    const ContainerFacts facts = row.type == ProbeType::kStartup ? NotStarted() : Running();
    std::string results;
    for (const char outcome : row.outcomes) {
      rig.Probe(facts, outcome == 'S' ? Outcome::kSuccess : Outcome::kFailure);
      const auto result = rig.Result();
      results += result == Verdict::kSuccess ? 'S' : result == Verdict::kFailure ? 'F' : 'U';
    }
    EXPECT_EQ(results, row.results) << row.outcomes;
  }
}

TEST(ProbeWorker, R2_10_HoldAfterLivenessFailureAndAnyStartupResult) {
  Rig failed(ProbeType::kStartup, {.failure_threshold = 1});
  failed.Probe(NotStarted(), Outcome::kFailure);
  EXPECT_TRUE(failed.worker_.on_hold());
  Rig started(ProbeType::kStartup);
  started.Probe(NotStarted(), Outcome::kSuccess);
  EXPECT_TRUE(started.worker_.on_hold());
  Rig lives(ProbeType::kLiveness);
  lives.Probe(Running(), Outcome::kSuccess);
  EXPECT_FALSE(lives.worker_.on_hold());
}

TEST(ProbeWorker, R2_11_ReadinessKeepsItsStreakAcrossARestart) {
  Rig rig(ProbeType::kReadiness, {.success_threshold = 3});
  rig.Probe(Running("a"), Outcome::kSuccess);
  rig.Probe(Running("a"), Outcome::kSuccess);
  rig.Probe(Running("b"), Outcome::kSuccess);
  EXPECT_EQ(rig.Result("b"), Verdict::kSuccess);
}

}  // namespace
}  // namespace fermata::sandbox::probe
