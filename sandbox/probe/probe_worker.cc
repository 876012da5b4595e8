#include "sandbox/probe/probe_worker.h"

#include <array>

namespace fermata::sandbox::probe {
namespace {

constexpr int kMostTries = 3;  // of a probe that gives an error

}  // namespace

const char* WordOf(ProbeType type) {
  if (type == ProbeType::kStartup) return "startup";
  return type == ProbeType::kLiveness ? "liveness" : "readiness";
}

const char* WordOf(Outcome outcome) {
  constexpr std::array kWords = {"success", "warning", "failure", "unknown", "error"};
  return kWords[static_cast<size_t>(outcome)];
}

Verdict ProbeWorker::Initial() const {
  if (type_ == ProbeType::kStartup) return Verdict::kUnknown;
  return type_ == ProbeType::kLiveness ? Verdict::kSuccess : Verdict::kFailure;
}

std::optional<Verdict> ProbeWorker::ResultOf(const std::string& container_id) const {
  if (container_id.empty() || container_id != container_id_) return std::nullopt;
  return result_;
}

void ProbeWorker::Trigger(TimePoint now) {
  next_tick_ = now;
  triggered_ = true;
}

// 2.6d
void ProbeWorker::Adopt(const ContainerFacts& facts, TimePoint now) {
  container_id_ = facts.container_id;
  started_ = now - facts.running_for;
  result_ = facts.remembered.value_or(Initial());
  hold_ = false;
}

ProbeWorker::Step ProbeWorker::Tick(const ContainerFacts& facts, TimePoint now) {
  if (triggered_) {
    next_tick_ = now + spec_.period;
    triggered_ = false;
  } else if (now >= next_tick_) {
    // What was missed while a slow probe ran is one tick and no more; the rhythm stays.
    next_tick_ += spec_.period * ((now - next_tick_) / spec_.period + 1);
  }
  if (facts.pod_over) return Step::kEnd;
  if (facts.container_id.empty()) return Step::kWait;
  if (facts.container_id != container_id_) Adopt(facts, now);
  if (hold_) return Step::kWait;
  if (!facts.running) {
    result_ = Verdict::kFailure;
    return facts.will_restart ? Step::kWait : Step::kEnd;
  }
  if (facts.pod_deleted && type_ != ProbeType::kReadiness) {
    result_ = Verdict::kSuccess;
    return Step::kEnd;
  }
  if (std::chrono::floor<std::chrono::seconds>(now - started_) < spec_.initial_delay) return Step::kWait;
  if (facts.started == (type_ == ProbeType::kStartup)) return Step::kWait;
  // Taken over from an earlier daemon just now, which `facts` cannot know yet.
  if (type_ == ProbeType::kStartup && result_ == Verdict::kSuccess) return Step::kWait;
  return Step::kProbe;
}

ProbeWorker::After ProbeWorker::Finish(const ProbeResult& result) {
  if (result.outcome == Outcome::kError) {
    streak_ = 0;
    if (++errors_ < kMostTries) return After::kAgain;
    errors_ = 0;
    return After::kDone;
  }
  errors_ = 0;
  Count(IsGood(result.outcome) ? Verdict::kSuccess : Verdict::kFailure);
  return After::kDone;
}

// 2.9 and 2.10
void ProbeWorker::Count(Verdict verdict) {
  run_ = verdict == last_ ? run_ + 1 : 1;
  streak_ = run_;
  last_ = verdict;
  const int threshold = verdict == Verdict::kSuccess ? spec_.success_threshold : spec_.failure_threshold;
  if (run_ < threshold) return;
  result_ = verdict;
  const bool ends = type_ == ProbeType::kStartup || (type_ == ProbeType::kLiveness && verdict == Verdict::kFailure);
  if (!ends) return;
  hold_ = true;
  run_ = 0;
}

}  // namespace fermata::sandbox::probe
