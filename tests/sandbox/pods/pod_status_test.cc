// Phase, conditions, restarts and back-off, each test named after its number in the specification of the prober.
#include "sandbox/pods/pod_status.h"

#include <gtest/gtest.h>

#include "sandbox/pods/restart_delay.h"

namespace fermata::sandbox::pods {
namespace {

constexpr auto kMain = ContainerKind::kMain;
constexpr auto kInit = ContainerKind::kInit;
constexpr auto kSidecar = ContainerKind::kSidecar;
constexpr auto kAlways = RestartPolicy::kAlways;
constexpr auto kOnFailure = RestartPolicy::kOnFailure;
constexpr auto kNever = RestartPolicy::kNever;

// State as a letter: N not made, C created, R running, S running and started, 0..9 exited with that code.
ContainerView View(char state, RestartPolicy policy, ContainerKind kind) {
  ContainerView view;
  view.kind = kind;
  view.policy = PolicyOf({}, kind, policy);
  if (state == 'N') return view;
  ContainerRecord record;
  record.state = state == 'C'                   ? ContainerState::kCreated
                 : state == 'R' || state == 'S' ? ContainerState::kRunning
                                                : ContainerState::kExited;
  record.exit_code = state >= '0' && state <= '9' ? state - '0' : 0;
  view.started = view.ready = state == 'S';
  if (kind == kInit) view.ready = state == '0';
  view.newest = std::make_shared<const ContainerRecord>(record);
  return view;
}
PodView Pod(RestartPolicy policy, const std::string& init, const std::string& sidecars, const std::string& main) {
  PodView view;
  for (const char c : init) view.init_containers.push_back(View(c, policy, kInit));
  for (const char c : sidecars) view.init_containers.push_back(View(c, policy, kSidecar));
  for (const char c : main) view.containers.push_back(View(c, policy, kMain));
  return view;
}

struct PhaseRow {
  RestartPolicy policy;
  std::string init, sidecars, main;
  bool sandbox_ready;
  std::string phase;
  bool over;
};
TEST(PodStatus, R9_PhaseIsTheFirstThatMatches) {
  const PhaseRow rows[] = {
      // 1: an init container has failed for good
      {kNever, "1", "", "N", true, "Failed", true},
      {kNever, "1", "", "N", false, "Failed", true},
      // 2: pending
      {kAlways, "1", "", "N", true, "Pending", false},
      {kOnFailure, "1", "", "N", true, "Pending", false},
      {kAlways, "R", "", "N", true, "Pending", false},
      {kAlways, "0", "R", "N", true, "Pending", false},
      {kAlways, "", "", "N", true, "Pending", false},
      {kAlways, "", "", "RN", true, "Pending", false},
      {kAlways, "", "", "C", true, "Pending", false},
      // 3: running
      {kNever, "", "", "R1", true, "Running", false},
      {kNever, "0", "S", "R", true, "Running", false},
      {kNever, "0", "S", "0", true, "Running", true},
      {kNever, "0", "R", "R", true, "Running", false},
      // 4: stopped
      {kNever, "", "", "01", true, "Failed", true},
      {kNever, "", "", "00", true, "Succeeded", true},
      {kAlways, "", "", "0", true, "Running", false},
      {kOnFailure, "", "", "1", true, "Running", false},
      {kOnFailure, "", "", "0", true, "Succeeded", true},
      {kOnFailure, "0", "3", "0", true, "Succeeded", true},
      {kAlways, "", "", "1", false, "Failed", false},
      {kAlways, "", "", "0", false, "Succeeded", false},
      {kAlways, "0", "", "N", false, "Failed", false},
  };
  for (const PhaseRow& row : rows) {
    const PodView view = Pod(row.policy, row.init, row.sidecars, row.main);
    EXPECT_EQ(PhaseOf(view, row.sandbox_ready), row.phase) << row.init << "|" << row.sidecars << "|" << row.main;
    EXPECT_EQ(IsOver(view), row.over) << row.init << "|" << row.sidecars << "|" << row.main;
  }
}

TEST(PodStatus, R10_Conditions) {
  const auto text = [](PodView view, bool ready) {
    view.phase = PhaseOf(view, ready);
    std::string text;
    for (const PodCondition& condition : ConditionsOf(view, ready)) text += condition.holds ? '1' : '0';
    return text;
  };
  // PodScheduled, PodReadyToStartContainers, Initialized, ContainersReady, Ready
  EXPECT_EQ(text(Pod(kAlways, "R", "", "N"), true), "11000");
  EXPECT_EQ(text(Pod(kAlways, "0", "R", "N"), true), "11000");
  EXPECT_EQ(text(Pod(kAlways, "0", "S", "N"), true), "11100");
  EXPECT_EQ(text(Pod(kAlways, "0", "S", "SR"), true), "11100");
  EXPECT_EQ(text(Pod(kAlways, "0", "S", "SS"), true), "11111");
  EXPECT_EQ(text(Pod(kAlways, "0", "R", "SS"), true), "11100");
  PodView done = Pod(kNever, "", "", "0");
  done.phase = "Succeeded";
  EXPECT_EQ(ConditionsOf(done, false).back().reason, "PodCompleted");
}

TEST(PodStatus, R5_WhoIsRestarted) {
  ContainerRecord good;
  ContainerRecord bad;
  bad.exit_code = 1;
  EXPECT_TRUE(ShouldRestart(kAlways, good));
  EXPECT_TRUE(ShouldRestart(kOnFailure, bad));
  EXPECT_FALSE(ShouldRestart(kOnFailure, good));
  EXPECT_FALSE(ShouldRestart(kNever, bad));
}

TEST(PodStatus, R4_OneKilledByAProbeIsRestartedWhateverItsExitCode) {
  ContainerRecord killed;
  killed.marks.killed_at_ns = 1;
  EXPECT_TRUE(ShouldRestart(kOnFailure, killed));
  EXPECT_FALSE(ShouldRestart(kNever, killed));
}

TEST(PodStatus, R5_TheContainersPolicyWinsOverThePods) {
  PodContainer container;
  container.restart_policy = kNever;
  EXPECT_EQ(PolicyOf(container, kMain, kAlways), kNever);
  EXPECT_EQ(PolicyOf({}, kMain, kAlways), kAlways);
}

TEST(PodStatus, R6_1_AnInitContainerIsRetriedUnlessNever) {
  EXPECT_EQ(PolicyOf({}, kInit, kAlways), kOnFailure);
  EXPECT_EQ(PolicyOf({}, kInit, kNever), kNever);
}

TEST(PodStatus, R6_3_SidecarsAreAlwaysRestarted) { EXPECT_EQ(PolicyOf({}, kSidecar, kNever), kAlways); }

constexpr int64_t kSecond = 1'000'000'000;

// An instance that began at `begin` and ended at `end`, as the one before it says.
ContainerRecord Next(const ContainerRecord* before, int64_t begin_s, int64_t end_s) {
  ContainerRecord record;
  record.created_at_ns = record.started_at_ns = begin_s * kSecond;
  record.finished_at_ns = end_s * kSecond;
  if (before != nullptr) {
    record.spec.restart_delay_ns = DelayOf(*before).next_delay_ns;
    record.spec.previous_finished_at_ns = before->finished_at_ns;
  }
  return record;
}
int64_t WaitSeconds(const ContainerRecord& exited) {
  const int64_t due = DelayOf(exited).due_ns;
  return due == 0 ? 0 : (due - exited.finished_at_ns) / kSecond;
}

TEST(RestartDelay, R5_WaitsAreZeroThenTenDoubledToFiveMinutes) {
  ContainerRecord record = Next(nullptr, 100, 101);
  for (const int64_t wait : {0, 10, 20, 40, 80, 160, 300, 300, 300}) {
    EXPECT_EQ(WaitSeconds(record), wait);
    const int64_t begin = record.finished_at_ns / kSecond + wait;
    record = Next(&record, begin, begin + 1);
  }
}

TEST(RestartDelay, R5_ARunOfOverTenMinutesForgetsThem) {
  ContainerRecord record = Next(nullptr, 100, 101);
  record = Next(&record, 101, 102);
  ContainerRecord kept = Next(&record, 112, 112 + 600);
  EXPECT_EQ(WaitSeconds(kept), 20);
  ContainerRecord forgotten = Next(&record, 112, 112 + 601);
  EXPECT_EQ(WaitSeconds(forgotten), 0);
  const ContainerRecord after = Next(&forgotten, 713, 714);
  EXPECT_EQ(WaitSeconds(after), 10);
}

TEST(RestartDelay, R5_TheFirstKillByAProbeMakesNoEntryAndLaterOnesCountFromTheEndBefore) {
  const auto killed = [](ContainerRecord record) {
    record.marks.killed_at_ns = record.finished_at_ns;
    return record;
  };
  const ContainerRecord first = killed(Next(nullptr, 100, 130));
  EXPECT_EQ(WaitSeconds(first), 0);
  EXPECT_EQ(DelayOf(first).next_delay_ns, 0);
  const ContainerRecord second = killed(Next(&first, 130, 160));
  EXPECT_EQ(WaitSeconds(second), 0);
  EXPECT_EQ(DelayOf(second).next_delay_ns, 10 * kSecond);
  const ContainerRecord third = killed(Next(&second, 160, 190));  // 30 s after the end of the second: over 10 s
  EXPECT_EQ(WaitSeconds(third), 0);
  EXPECT_EQ(DelayOf(third).next_delay_ns, 20 * kSecond);
  const ContainerRecord fourth = killed(Next(&third, 190, 205));  // 15 s: less than 20 s
  EXPECT_EQ(WaitSeconds(fourth), 20);
  EXPECT_EQ(DelayOf(fourth).next_delay_ns, 40 * kSecond);
}

}  // namespace
}  // namespace fermata::sandbox::pods
