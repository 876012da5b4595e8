// One pass over a pod: what its manifest wants is compared with what there is, and the next thing done.
#include <unistd.h>

#include <algorithm>

#include "runtime/base/log.h"
#include "runtime/base/operation.h"
#include "sandbox/pods/pod_engine.h"
#include "sandbox/pods/pod_facts.h"
#include "sandbox/pods/pod_lookup.h"
#include "sandbox/pods/pod_volumes.h"
#include "sandbox/pods/restart_delay.h"

namespace fermata::sandbox::pods {
namespace {

using Clock = std::chrono::steady_clock;
using probe::ProbeType;

}  // namespace

Result<> PodEngine::SyncContainers(const WorkerPtr& worker) {
  const SandboxPtr sandbox = engine_.store->Find(worker->id);
  if (sandbox == nullptr || sandbox->state != SandboxState::kReady || worker->finishing) return {};
  if (DeadlineIsOver(worker, *sandbox)) return {};
  KillUnhealthy(worker);
  ASSIGN_OR_RETURN(bool go, SyncInit(worker));
  for (const PodContainer& container : worker->manifest.containers) {
    if (!go) break;
    ASSIGN_OR_RETURN(go, SyncOne(worker, container, ContainerKind::kMain));
  }
  const PodView view = ViewOf(sandbox);
  RecordMarks(*worker, view);
  return FinishIfOver(worker, view);
}

Result<bool> PodEngine::SyncInit(const WorkerPtr& worker) {
  const PodManifest& manifest = worker->manifest;
  // Once a container has been made the init containers are not looked at again, but the sidecars are kept running.
  const bool initialized = std::ranges::any_of(manifest.containers, [&](const PodContainer& c) {
    return Newest(*engine_.store, worker->id, c.spec.name) != nullptr;
  });
  for (const PodContainer& container : manifest.init_containers) {
    const ContainerKind kind = InitKind(container);
    if (initialized && kind == ContainerKind::kInit) continue;
    const ContainerPtr newest = Newest(*engine_.store, worker->id, container.spec.name);
    const bool exited = newest != nullptr && newest->state == ContainerState::kExited;
    if (kind == ContainerKind::kInit && exited && newest->exit_code == 0) continue;
    ASSIGN_OR_RETURN(const bool go, SyncOne(worker, container, kind));
    if (initialized) continue;
    ContainerView view;
    FillView(engine_.store->Find(worker->id), worker.get(), container, view);
    if (!go || kind == ContainerKind::kInit || !view.started) return false;
  }
  return true;
}

Result<bool> PodEngine::SyncOne(const WorkerPtr& worker, const PodContainer& container, ContainerKind kind) {
  const ContainerPtr newest = Newest(*engine_.store, worker->id, container.spec.name);
  if (newest == nullptr) return StartAttempt(worker, container, nullptr);
  if (newest->state == ContainerState::kCreated) {
    StartOne(*worker, newest->id, container.spec.name);
    return HookIsDone(worker, container, engine_.store->Find(newest->id));
  }
  if (newest->state == ContainerState::kRunning) return HookIsDone(worker, container, newest);
  const RestartPolicy policy = PolicyNow(*worker, container, kind);
  if (newest->state != ContainerState::kExited || !RestartIsDue(*worker, policy, *newest)) return true;
  ASSIGN_OR_RETURN(const bool go, StartAttempt(worker, container, newest.get()));
  RemoveOldAttempts(*worker, container.spec.name, newest->spec.attempt);
  return go;
}

RestartPolicy PodEngine::PolicyNow(const Worker& worker, const PodContainer& container, ContainerKind kind) const {
  const PodManifest& manifest = worker.manifest;
  const RestartPolicy policy = PolicyOf(container, kind, manifest.restart_policy);
  if (!manifest.restart_limit || kind == ContainerKind::kSidecar) return policy;
  int64_t restarts = 0;
  for (const auto* list : {&manifest.init_containers, &manifest.containers}) {
    for (const PodContainer& each : *list) {
      const ContainerPtr newest = Newest(*engine_.store, worker.id, each.spec.name);
      if (newest != nullptr) restarts += newest->spec.attempt;
    }
  }
  return restarts < *manifest.restart_limit ? policy : RestartPolicy::kNever;
}

bool PodEngine::DeadlineIsOver(const WorkerPtr& worker, const SandboxRecord& sandbox) {
  if (!worker->manifest.active_deadline) return false;
  const std::chrono::nanoseconds left =
      std::chrono::nanoseconds(sandbox.created_at_ns - NowNs()) + *worker->manifest.active_deadline;
  if (left.count() > 0) {
    Wake(worker->id, Clock::now() + left);
    return false;
  }
  log::info("pod {}: its activeDeadlineSeconds are over", sandbox.spec.name);
  Tell(worker->id,
       {EventType::kNormal, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline", ""});
  // First, or a daemon that ends now would leave a pod that seems to have succeeded.
  (void)engine_.store->Update(worker->id, [](SandboxRecord& r) { r.reason = "DeadlineExceeded"; });
  StopLater(worker);
  return true;
}

void PodEngine::StopLater(const WorkerPtr& worker) {
  worker->finishing = true;
  engine_.tasks.Post([this, worker] {
    const About about(About::What::kSandbox, worker->id.str());
    if (auto stopped = Stop(worker->id, std::nullopt); !stopped) log::warn("{}", stopped.error().message());
  });
}

bool PodEngine::RestartIsDue(Worker& worker, RestartPolicy policy, const ContainerRecord& exited) {
  if (!ShouldRestart(policy, exited)) return false;
  const int64_t left = DelayOf(exited).due_ns - NowNs();
  if (left <= 0) return true;
  if (worker.waited.insert(exited.id).second) {
    Tell(worker.id, {EventType::kWarning, "BackOff", "Back-off restarting failed container " + exited.spec.name,
                     exited.spec.name});
  }
  Wake(worker.id, Clock::now() + std::chrono::nanoseconds(left));
  return false;
}

Result<ContainerSpec> PodEngine::SpecOf(const Worker& worker, const PodContainer& container) {
  const SandboxPtr sandbox = engine_.store->Find(worker.id);
  if (sandbox == nullptr) return Error::Make(ErrorCode::kNotFound, "the pod has gone");
  ContainerSpec spec = container.spec;
  spec.labels["io.kubernetes.container.name"] = spec.name;
  spec.labels["io.kubernetes.pod.name"] = sandbox->spec.name;
  spec.labels["io.kubernetes.pod.namespace"] = sandbox->spec.name_space;
  spec.labels["io.kubernetes.pod.uid"] = sandbox->spec.uid;
  const PodFacts facts = FactsOf(*sandbox);
  ProcessPlace place;
  const auto value_of = [&](const ValueSource& source) { return ValueOf(source, worker.manifest, facts); };
  const auto told = [&](const char* reason, const Error& error) {
    Tell(worker.id, {EventType::kWarning, reason, "Error: " + error.message(), spec.name});
    return error;
  };
  if (auto filled = FillProcess(container, value_of, spec, place); !filled) return told("Failed", filled.error());
  auto mounts = MountsOf({engine_, worker.manifest, PodDirectory(sandbox->spec.uid)}, container, spec.env);
  if (!mounts) return told("FailedMount", mounts.error());
  spec.mounts = std::move(mounts).value();
  return spec;
}

Result<bool> PodEngine::StartAttempt(const WorkerPtr& worker, const PodContainer& container,
                                     const ContainerRecord* before) {
  ASSIGN_OR_RETURN(ContainerSpec spec, SpecOf(*worker, container));
  if (before != nullptr) {
    spec.attempt = before->spec.attempt + 1;
    spec.restart_delay_ns = DelayOf(*before).next_delay_ns;
    spec.previous_finished_at_ns = before->finished_at_ns;
  }
  spec.log_path = spec.name + "/" + std::to_string(spec.attempt) + ".log";
  auto id = containers_.Create(worker->id, spec);
  if (!id) {
    Tell(worker->id, {EventType::kWarning, "Failed", "Error: " + id.error().message(), spec.name});
    return std::move(id).error().Wrap("create container ", spec.name);
  }
  Tell(worker->id, {EventType::kNormal, "Created", "Created container " + spec.name, spec.name});
  if (before != nullptr) worker->waited.erase(before->id);
  StartOne(*worker, *id, spec.name);
  return HookIsDone(worker, container, engine_.store->Find(*id));
}

// A failure is an exit of its own, recorded as StartError; the restart policy decides what becomes of it.
void PodEngine::StartOne(const Worker& worker, const ContainerId& id, const std::string& name) {
  if (auto started = containers_.Start(id); !started) {
    return Tell(worker.id, {EventType::kWarning, "Failed", "Error: " + started.error().message(), name});
  }
  Tell(worker.id, {EventType::kNormal, "Started", "Started container " + name, name});
}

// One attempt before the newest stays, with its log, to look at.
void PodEngine::RemoveOldAttempts(const Worker& worker, const std::string& name, uint32_t newest) {
  for (const ContainerPtr& container : engine_.store->ContainersOf(worker.id)) {
    if (container->spec.name != name || container->spec.attempt >= newest) continue;
    if (auto removed = containers_.Remove(container->id); !removed) log::warn("{}", removed.error().message());
    (void)::unlink(container->log_path.c_str());
  }
}

// Begins the hook where that has not been done. One that an earlier daemon did not see the end of is run again.
bool PodEngine::HookIsDone(const WorkerPtr& worker, const PodContainer& container, const ContainerPtr& running) {
  const bool runs = running != nullptr && running->state == ContainerState::kRunning;
  if (!runs || !container.probes.post_start || running->marks.post_started) return true;
  if (worker->killed.contains(running->id) || !worker->hooked.insert(running->id).second) return false;
  // The end may come on a thread that must not wait, or on this one.
  runner_.RunHook({worker->id, running->id}, *container.probes.post_start, std::nullopt,
                  [this, worker, &container, running](const Result<>& done) {
                    if (engine_.ending) return;
                    engine_.tasks.Post([=, this, &container] { EndPostStart(worker, container, running, done); });
                  });
  return false;
}

void PodEngine::EndPostStart(const WorkerPtr& worker, const PodContainer& container, const ContainerPtr& running,
                             const Result<>& done) {
  if (engine_.ending) return;
  bool kill = false;
  {
    const std::lock_guard lock(worker->mutex);
    worker->hooked.erase(running->id);
    if (done) {
      (void)engine_.store->Update(running->id, [](ContainerRecord& r) { r.marks.post_started = true; });  // else again
    } else {
      kill = worker->killed.insert(running->id).second;
      log::warn("pod {}: postStart of {}: {}", worker->manifest.sandbox.name, container.spec.name,
                done.error().message());
    }
  }
  if (kill) {
    const std::string& name = container.spec.name;
    Tell(worker->id,
         {EventType::kWarning, "FailedPostStartHook", "PostStartHook failed: " + done.error().message(), name});
    Tell(worker->id, {EventType::kNormal, "Killing", "Container " + name + " failed its postStart hook", name});
    KillContainer({&container, running, {}}, worker->manifest.termination_grace);
    const std::lock_guard lock(worker->mutex);
    worker->killed.erase(running->id);
  }
  OnChange(worker->id);
}

void PodEngine::KillUnhealthy(const WorkerPtr& worker) {
  for (const Kill& kill : KillsOf(*worker)) {
    const ContainerId& id = kill.running->id;
    const std::string& name = kill.container->spec.name;
    const auto failed = [&](ProbeType type) {
      return prober_.ResultOf({worker->id, name, type}, id) == probe::Verdict::kFailure;
    };
    const ProbeType type = failed(ProbeType::kStartup) ? ProbeType::kStartup : ProbeType::kLiveness;
    if (!failed(type) || !worker->killed.insert(id).second) continue;
    const int64_t now = NowNs();
    // Before the kill: the end of the container is judged by it.
    auto marked = engine_.store->Update(id, [now](ContainerRecord& r) {
      if (r.state == ContainerState::kRunning && r.marks.killed_at_ns == 0) r.marks.killed_at_ns = now;
    });
    if (!marked) log::warn("record the kill of {}: {}", name, marked.error().message());
    const std::string probe = type == ProbeType::kStartup ? "startup" : "liveness";
    log::info("pod {}: container {} failed its {} probe, and is killed", worker->manifest.sandbox.name, name, probe);
    const ContainerKind kind = KindOf(worker->manifest, *kill.container);
    const bool again = PolicyNow(*worker, *kill.container, kind) != RestartPolicy::kNever;
    Tell(worker->id,
         {EventType::kNormal, "Killing",
          "Container " + name + " failed " + probe + " probe" + (again ? ", will be restarted" : ""), name});
    const auto grace = kill.container->probes.Of(type)->termination_grace.value_or(worker->manifest.termination_grace);
    engine_.tasks.Post([this, worker, kill = Kill{kill.container, kill.running, {}}, grace] {
      KillContainer(kill, grace);
      {
        const std::lock_guard lock(worker->mutex);
        worker->killed.erase(kill.running->id);
      }
      OnChange(worker->id);
    });
  }
}

void PodEngine::RecordMarks(const Worker& worker, const PodView& view) {
  for (const ContainerView& container : view.All()) {
    if (container.kind == ContainerKind::kInit || container.newest == nullptr) continue;
    const ContainerRecord& record = *container.newest;
    if (record.state != ContainerState::kRunning) continue;
    if (record.marks.started != container.started || record.marks.ready != container.ready) {
      (void)engine_.store->Update(record.id, [&](ContainerRecord& r) {  // for the next daemon, which else finds out
        r.marks.started = container.started;
        r.marks.ready = container.ready;
      });
    }
    if (container.started && !container.ready) {
      prober_.Trigger({worker.id, container.name, ProbeType::kReadiness});
    }
  }
}

// As kubelet: a pod that is over holds no sandbox.
Result<> PodEngine::FinishIfOver(const WorkerPtr& worker, const PodView& view) {
  if (!IsOver(view)) return {};
  if (!KillsOf(*worker).empty()) {  // sidecars, which have their time
    StopLater(worker);
    return {};
  }
  prober_.RemovePod(worker->id);
  return sandboxes_.Stop(worker->id);
}

}  // namespace fermata::sandbox::pods
