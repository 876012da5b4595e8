// Ends of containers: hooks, the order of sidecars, and the time that all of it may take.
#include <algorithm>

#include "runtime/base/log.h"
#include "runtime/base/operation.h"
#include "sandbox/pods/pod_engine.h"
#include "sandbox/pods/pod_lookup.h"

namespace fermata::sandbox::pods {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::seconds;

constexpr Seconds kLeastGrace{2};  // whatever hooks and waits have left of it

Seconds Since(Clock::time_point begin) { return std::chrono::floor<Seconds>(Clock::now() - begin); }

}  // namespace

// The running containers; a sidecar comes after all containers and after the sidecars that follow it.
std::vector<PodEngine::Kill> PodEngine::KillsOf(const Worker& worker) const {
  std::vector<Kill> kills;
  std::vector<ContainerId> later;
  const auto add = [&](const PodContainer& container, bool waits) {
    const ContainerPtr newest = Newest(*engine_.store, worker.id, container.spec.name);
    if (newest == nullptr || newest->state != ContainerState::kRunning) return;
    kills.push_back({&container, newest, waits ? later : std::vector<ContainerId>()});
    later.push_back(newest->id);
  };
  for (const PodContainer& container : worker.manifest.containers) add(container, false);
  const auto& init = worker.manifest.init_containers;
  for (auto container = init.rbegin(); container != init.rend(); ++container) {
    add(*container, InitKind(*container) == ContainerKind::kSidecar);
  }
  return kills;
}

void PodEngine::WaitForChange(const SandboxId& id, Clock::time_point deadline, const std::function<bool()>& done) {
  const LivePtr live = engine_.live.Get(id);
  std::unique_lock lock(live->mutex);
  (void)live->changed.wait_until(lock, deadline, [&] { return engine_.ending || done(); });
}

void PodEngine::RunPreStop(const Kill& kill, Seconds limit) {
  const SandboxId& pod = kill.running->sandbox;
  const LivePtr live = engine_.live.Get(pod);
  const auto ended = std::make_shared<std::atomic<bool>>(false);
  runner_.RunHook(
      {pod, kill.running->id}, *kill.container->probes.pre_stop, limit,
      [this, pod, live, ended, id = kill.running->id, name = kill.container->spec.name](const Result<>& done) {
        const About about(About::What::kContainer, id.str());
        if (!done) {
          log::warn("preStop of {}: {}", name, done.error().message());
          Tell(pod, {EventType::kWarning, "FailedPreStopHook", "PreStopHook failed: " + done.error().message(), name});
        }
        {
          const std::lock_guard lock(live->mutex);
          *ended = true;
        }
        live->changed.notify_all();
      });
  WaitForChange(pod, Clock::now() + limit, [&] {
    const ContainerPtr now = engine_.store->Find(kill.running->id);
    return *ended || now == nullptr || now->state != ContainerState::kRunning;
  });
}

void PodEngine::KillContainer(const Kill& kill, Seconds grace) {
  Seconds left = grace;
  if (kill.container->probes.pre_stop && left.count() > 0) {
    const auto begin = Clock::now();
    RunPreStop(kill, left);
    left -= std::min(left, Since(begin));
  }
  if (!kill.after.empty() && left.count() > 0) {
    const auto begin = Clock::now();
    WaitForChange(kill.running->sandbox, begin + left, [&] {
      return std::ranges::none_of(kill.after, [this](const ContainerId& id) {
        const ContainerPtr now = engine_.store->Find(id);
        return now != nullptr && now->state == ContainerState::kRunning;
      });
    });
    left -= std::min(left, Since(begin));
  }
  if (engine_.ending) return;
  if (auto stopped = containers_.Stop(kill.running->id, std::max(left, kLeastGrace)); !stopped) {
    log::warn("{}", stopped.error().message());
  }
}

Result<> PodEngine::Stop(const SandboxId& id, std::optional<Seconds> grace) {
  const About about(About::What::kSandbox, id.str());
  // As long as the pod's grace period.
  if (Operation* operation = Operation::Current(); operation != nullptr) operation->BePatient();
  const WorkerPtr worker = FindWorker(id);
  if (worker == nullptr) return sandboxes_.Stop(id);
  worker->stopping = true;  // no start from here on
  std::vector<Kill> kills;
  {
    const std::lock_guard lock(worker->mutex);
    kills = KillsOf(*worker);
  }
  // Readiness is probed to the end; the sidecars' workers look at `stopping` themselves.
  for (const PodContainer& container : worker->manifest.containers) {
    prober_.Remove({id, container.spec.name, probe::ProbeType::kLiveness});
    prober_.Remove({id, container.spec.name, probe::ProbeType::kStartup});
  }
  const bool at_once = grace && grace->count() <= 0;
  const Seconds time = grace.value_or(std::max(worker->manifest.termination_grace, Seconds(1)));
  std::vector<std::thread> stops;
  stops.reserve(kills.size());
  for (const Kill& kill : kills) {  // side by side: each has the whole time
    const std::string& name = kill.container->spec.name;
    Tell(id, {EventType::kNormal, "Killing", "Stopping container " + name, name});
    stops.emplace_back([&, kill] {
      const About about_container(About::What::kContainer, kill.running->id.str());
      const About about_sandbox(About::What::kSandbox, id.str());
      if (!at_once) return KillContainer(kill, time);
      if (auto done = containers_.Stop(kill.running->id, Seconds(0)); !done) log::warn("{}", done.error().message());
    });
  }
  for (std::thread& stop : stops) stop.join();
  if (engine_.ending) return Error::Make(ErrorCode::kUnavailable, "the daemon is ending");
  if (auto stopped = sandboxes_.Stop(id); !stopped) {
    Tell(id, {EventType::kWarning, "FailedKillPod", "Error killing pod: " + stopped.error().message(), ""});
    return stopped;
  }
  prober_.RemovePod(id);
  OnChange(id);
  return {};
}

}  // namespace fermata::sandbox::pods
