// Prober: runs the probes of all pods: one thread that waits for the next tick, whatever the number of probes. What a
// run does is the runner's (probe_runner.h); it answers on a thread of its own. Thread-safe; its lock is held over no
// call to the outside.
#pragma once

#include <compare>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "sandbox/probe/probe_worker.h"
#include "sandbox/types.h"

namespace fermata::sandbox::probe {

struct ProbeTarget {
  SandboxId pod;
  ContainerId container;
};
using ProbeDone = std::function<void(ProbeResult)>;
// Runs one probe; calls `done` exactly once, on any thread, not later than the probe's time-out and a moment.
using ProbeFunction = std::function<void(const ProbeTarget& target, const ProbeSpec& spec, ProbeDone done)>;

struct ProbeKey {
  SandboxId pod;
  std::string container;  // its name
  ProbeType type = ProbeType::kLiveness;
  auto operator<=>(const ProbeKey&) const = default;
};

// One run of a probe, or what else made the container be believed different.
struct ProbeReport {
  ContainerId container;
  ProbeResult result;    // kUnknown: nothing was run
  bool changed = false;  // what is believed of the container is different now
  int streak = 0;        // see ProbeWorker
  // How much later than it was due it began, where nothing but us was in the way: neither the run before nor an attempt
  // that did not work. And how long the (last) attempt took.
  std::chrono::nanoseconds lateness{0}, latency{0};
};

class Prober {
 public:
  struct Outside {
    ProbeFunction run;
    // The container at this moment; `started` is filled in here. Must not wait.
    std::function<ContainerFacts(const ProbeKey& key)> look;
    // After every run, and when something else changes what is believed. Must not wait.
    std::function<void(const ProbeKey& key, const ProbeReport& report)> told;
  };
  explicit Prober(Outside outside);
  ~Prober() { End(); }
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  void Add(const ProbeKey& key, const ProbeSpec& spec);
  // A probe under way ends, but its result is not looked at.
  void Remove(const ProbeKey& key);
  void RemovePod(const SandboxId& pod);
  void Trigger(const ProbeKey& key);
  // nullopt: there is no such probe, or it has not seen that instance.
  [[nodiscard]] std::optional<Verdict> ResultOf(const ProbeKey& key, const ContainerId& container) const;
  [[nodiscard]] bool Has(const ProbeKey& key) const;
  // Afterwards nothing outside is called any more.
  void End();

 private:
  class Core;
  std::shared_ptr<Core> core_;  // shared with the probes under way
  std::thread thread_;
};

}  // namespace fermata::sandbox::probe
