#include "sandbox/probe/prober.h"

#include <algorithm>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "runtime/base/metrics.h"

namespace fermata::sandbox::probe {
namespace {

using Clock = std::chrono::steady_clock;

metrics::Family probes(metrics::Kind::kCounter, "fermata_probes_total",
                       "Runs of probes, each attempt of one that is tried again for itself", {"kind", "result"});

}  // namespace

class Prober::Core : public std::enable_shared_from_this<Core> {
 public:
  explicit Core(Outside outside) : outside_(std::move(outside)) {}

  void Loop();
  void Add(const ProbeKey& key, const ProbeSpec& spec);
  void Remove(const ProbeKey& key);
  void RemovePod(const SandboxId& pod);
  void Trigger(const ProbeKey& key);
  std::optional<Verdict> ResultOf(const ProbeKey& key, const ContainerId& container) const;
  bool Has(const ProbeKey& key) const;
  void End();

 private:
  struct Entry {
    ProbeKey key;
    ProbeSpec spec;
    ProbeWorker worker;
    bool removed = false;
    Clock::time_point free{};  // when its last run ended
  };
  struct Run {
    ContainerId container;
    Clock::time_point due;
    std::optional<Clock::duration> lateness;  // of the first attempt, once there is a second one
  };
  using EntryPtr = std::shared_ptr<Entry>;
  using Queue = std::set<std::pair<Clock::time_point, EntryPtr>>;

  [[nodiscard]] Clock::duration Jitter(const ProbeSpec& spec);
  [[nodiscard]] bool IsStarted(const ProbeKey& key, const ContainerFacts& facts) const;
  void Tick(const EntryPtr& entry, ContainerFacts facts);
  void Begin(const EntryPtr& entry, Run run);
  void Finish(const EntryPtr& entry, Run run, Clock::time_point begun, const ProbeResult& result);
  void Enqueue(const EntryPtr& entry);
  void Tell(std::unique_lock<std::mutex>& lock, const ProbeKey& key, const ProbeReport& report);

  const Outside outside_;
  const Clock::time_point born_ = Clock::now();
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_, told_;
  std::map<ProbeKey, EntryPtr> entries_;
  Queue queue_;  // those that wait for their tick; one whose probe runs is not in it
  std::minstd_rand random_{std::random_device{}()};
  int telling_ = 0;
  bool ending_ = false;
};

// 2.3: only a daemon that has just begun has to spread the probes that it finds.
Clock::duration Prober::Core::Jitter(const ProbeSpec& spec) {
  if (Clock::now() - born_ >= spec.period) return {};
  const Clock::duration period = spec.period;
  return Clock::duration(std::uniform_int_distribution<Clock::rep>(0, period.count() - 1)(random_));
}

void Prober::Core::Add(const ProbeKey& key, const ProbeSpec& spec) {
  const std::lock_guard lock(mutex_);
  if (entries_.contains(key)) return;
  const auto first = Clock::now() + Jitter(spec);
  const auto entry = std::make_shared<Entry>(Entry{key, spec, ProbeWorker(key.type, spec, first)});
  entries_[key] = entry;
  Enqueue(entry);
}

void Prober::Core::Enqueue(const EntryPtr& entry) {
  if (entry->removed || ending_) return;
  queue_.emplace(entry->worker.next_tick(), entry);
  changed_.notify_all();
}

void Prober::Core::Remove(const ProbeKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  found->second->removed = true;
  queue_.erase({found->second->worker.next_tick(), found->second});
  entries_.erase(found);
}

void Prober::Core::RemovePod(const SandboxId& pod) {
  const std::lock_guard lock(mutex_);
  for (auto entry = entries_.lower_bound({pod, "", ProbeType::kStartup});
       entry != entries_.end() && entry->first.pod == pod;) {
    entry->second->removed = true;
    queue_.erase({entry->second->worker.next_tick(), entry->second});
    entry = entries_.erase(entry);
  }
}

void Prober::Core::Trigger(const ProbeKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  const EntryPtr entry = found->second;
  const bool waits = queue_.erase({entry->worker.next_tick(), entry}) > 0;
  entry->worker.Trigger(Clock::now());
  if (waits) Enqueue(entry);  // else it is asked for when the probe under way has ended
}

std::optional<Verdict> Prober::Core::ResultOf(const ProbeKey& key, const ContainerId& container) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  return found == entries_.end() ? std::nullopt : found->second->worker.ResultOf(container.str());
}

bool Prober::Core::Has(const ProbeKey& key) const {
  const std::lock_guard lock(mutex_);
  return entries_.contains(key);
}

bool Prober::Core::IsStarted(const ProbeKey& key, const ContainerFacts& facts) const {
  if (!facts.running) return false;
  const auto startup = entries_.find({key.pod, key.container, ProbeType::kStartup});
  if (startup == entries_.end()) return true;
  return startup->second->worker.ResultOf(facts.container_id) == Verdict::kSuccess;
}

void Prober::Core::Loop() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (queue_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto due = queue_.begin()->first;
    if (due > Clock::now()) {
      (void)changed_.wait_until(lock, due);
      continue;
    }
    const EntryPtr entry = queue_.begin()->second;
    queue_.erase(queue_.begin());
    lock.unlock();
    Tick(entry, outside_.look(entry->key));
    lock.lock();
  }
}

void Prober::Core::Tick(const EntryPtr& entry, ContainerFacts facts) {
  const ContainerId container(facts.container_id);
  std::unique_lock lock(mutex_);
  if (entry->removed) return;
  facts.started = IsStarted(entry->key, facts);
  const auto before = entry->worker.ResultOf(container.str());
  // One that took longer than its period was in its own way.
  const auto due = std::max(entry->worker.next_tick(), entry->free);
  const ProbeWorker::Step step = entry->worker.Tick(facts, Clock::now());
  const auto after = entry->worker.ResultOf(container.str());
  if (step == ProbeWorker::Step::kWait) Enqueue(entry);
  if (step == ProbeWorker::Step::kEnd) {
    entry->removed = true;
    entries_.erase(entry->key);
  }
  if (before != after) Tell(lock, entry->key, {.container = container, .changed = true});
  lock.unlock();
  if (step == ProbeWorker::Step::kProbe) Begin(entry, {container, due, std::nullopt});
}

void Prober::Core::Begin(const EntryPtr& entry, Run run) {
  const ProbeTarget target{entry->key.pod, run.container};
  outside_.run(target, entry->spec,
               [core = shared_from_this(), entry, run = std::move(run), begun = Clock::now()](
                   const ProbeResult& result) { core->Finish(entry, run, std::max(begun, result.begun), result); });
}

void Prober::Core::Finish(const EntryPtr& entry, Run run, Clock::time_point begun, const ProbeResult& result) {
  probes.With({WordOf(entry->key.type), WordOf(result.outcome)}).Add();
  std::unique_lock lock(mutex_);
  if (entry->removed || ending_) return;
  const auto now = Clock::now();
  const auto before = entry->worker.ResultOf(run.container.str());
  if (!run.lateness) run.lateness = begun - run.due;
  if (entry->worker.Finish(result) == ProbeWorker::After::kAgain) {
    lock.unlock();
    return Begin(entry, std::move(run));
  }
  entry->free = now;
  Enqueue(entry);
  Tell(lock, entry->key,
       {.container = run.container,
        .result = result,
        .changed = before != entry->worker.ResultOf(run.container.str()),
        .streak = entry->worker.streak(),
        .lateness = *run.lateness,
        .latency = now - begun});
}

void Prober::Core::Tell(std::unique_lock<std::mutex>& lock, const ProbeKey& key, const ProbeReport& report) {
  if (ending_) return;
  ++telling_;
  lock.unlock();
  outside_.told(key, report);
  lock.lock();
  if (--telling_ == 0) told_.notify_all();
}

void Prober::Core::End() {
  std::unique_lock lock(mutex_);
  ending_ = true;
  changed_.notify_all();
  told_.wait(lock, [this] { return telling_ == 0; });
}

Prober::Prober(Outside outside) : core_(std::make_shared<Core>(std::move(outside))) {
  thread_ = std::thread([core = core_] { core->Loop(); });
}

void Prober::End() {
  core_->End();
  if (thread_.joinable()) thread_.join();
}

void Prober::Add(const ProbeKey& key, const ProbeSpec& spec) { core_->Add(key, spec); }
void Prober::Remove(const ProbeKey& key) { core_->Remove(key); }
void Prober::RemovePod(const SandboxId& pod) { core_->RemovePod(pod); }
void Prober::Trigger(const ProbeKey& key) { core_->Trigger(key); }
bool Prober::Has(const ProbeKey& key) const { return core_->Has(key); }
std::optional<Verdict> Prober::ResultOf(const ProbeKey& key, const ContainerId& container) const {
  return core_->ResultOf(key, container);
}

}  // namespace fermata::sandbox::probe
