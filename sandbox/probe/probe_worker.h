// ProbeWorker: when one probe of one container runs, and what its results come to. kubelet's prober worker as a state
// machine: no thread, no clock, no I/O of its own; not thread-safe. Numbers in comments are those of kubelet's rules
// as the tests name them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "sandbox/probe/probe_spec.h"

namespace fermata::sandbox::probe {

// What one run of a probe came to. kError: the probe itself did not work, which says nothing about the container.
enum class Outcome : uint8_t { kSuccess, kWarning, kFailure, kUnknown, kError };
inline bool IsGood(Outcome outcome) { return outcome == Outcome::kSuccess || outcome == Outcome::kWarning; }
// "startup", ...; "success", ...
const char* WordOf(ProbeType type);
const char* WordOf(Outcome outcome);
struct ProbeResult {
  Outcome outcome = Outcome::kUnknown;
  std::string output;
  std::chrono::steady_clock::time_point begun{};  // when it had waited for a thread before; unset: when it was called
};

// What is believed of a container.
enum class Verdict : uint8_t { kUnknown, kSuccess, kFailure };

// The container as it is at a tick.
struct ContainerFacts {
  std::string container_id;  // of the newest instance; empty: none yet
  bool running = false;
  bool will_restart = false;  // when it does not run: another instance may come
  bool started = false;       // its startup probe, if any, has succeeded
  bool pod_over = false;      // Succeeded or Failed
  bool pod_deleted = false;
  std::chrono::nanoseconds running_for{0};  // since the start, that one taken as a whole second
  std::optional<Verdict> remembered;        // of an instance that an earlier daemon has probed
};

class ProbeWorker {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class Step : uint8_t { kWait, kProbe, kEnd };
  enum class After : uint8_t { kDone, kAgain };

  // Ticks at `first` and every period from there.
  ProbeWorker(ProbeType type, const ProbeSpec& spec, TimePoint first)
      : type_(type), spec_(spec), next_tick_(first), result_(Initial()) {}

  [[nodiscard]] TimePoint next_tick() const { return next_tick_; }
  // Runs as soon as it can, and ticks every period from `now`.
  void Trigger(TimePoint now);
  // At a tick: kProbe has to be followed by Finish.
  Step Tick(const ContainerFacts& facts, TimePoint now);
  // kAgain: to be run again at once.
  After Finish(const ProbeResult& result);

  // What is believed of the instance `container_id`; nullopt: nothing is known of that one.
  [[nodiscard]] std::optional<Verdict> ResultOf(const std::string& container_id) const;
  [[nodiscard]] ProbeType type() const { return type_; }
  // How many results in a row have come to the same as the last one; 0: the last one does not count.
  [[nodiscard]] int streak() const { return streak_; }
  [[nodiscard]] bool on_hold() const { return hold_; }

 private:
  [[nodiscard]] Verdict Initial() const;
  void Adopt(const ContainerFacts& facts, TimePoint now);
  void Count(Verdict verdict);

  ProbeType type_;
  ProbeSpec spec_;
  TimePoint next_tick_;
  bool triggered_ = false;
  std::string container_id_;
  TimePoint started_{};  // of that instance, on our own clock, which nobody sets
  Verdict result_;
  bool hold_ = false;
  Verdict last_ = Verdict::kUnknown;
  int run_ = 0, errors_ = 0, streak_ = 0;
};

}  // namespace fermata::sandbox::probe
