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
            [this](const ProbeKey& key, const ProbeResult&, bool changed) {
              const std::lock_guard lock(mutex_);
              if (changed) told_.push_back(key);
              changed_.notify_all();
            }};
  }
  // Waits for a run and gives its result.
  void Answer(Outcome outcome) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, seconds(20), [this] { return !waiting_.empty(); }));
    const ProbeDone done = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    lock.unlock();
    done({outcome, ""});
  }
  size_t Waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<ProbeDone> waiting_;
  std::vector<ProbeKey> told_;
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
