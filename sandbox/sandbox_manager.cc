#include "sandbox/sandbox_manager.h"

#include <algorithm>

#include "cgroups/placement.h"
#include "runtime/base/operation.h"
#include "runtime/base/random_id.h"
#include "sandbox/record_codec.h"
#include "sandbox/sandbox_steps.h"

namespace fermata::sandbox {
namespace {

constexpr auto kExitsDeadline = std::chrono::seconds(10);

std::string NameKey(const SandboxSpec& spec) {
  return std::to_string(static_cast<int>(spec.owner)) + "/" + spec.name_space + "/" + spec.name + "/" + spec.uid + "/" +
         std::to_string(spec.attempt);
}

}  // namespace

Result<SandboxId> SandboxManager::Run(const SandboxSpec& spec, const OperationTable::CallerGone& caller_gone) {
  SandboxRecord identity;
  identity.spec = spec;
  ASSIGN_OR_RETURN(std::string id,
                   engine_.operations.Run(
                       "pod sandbox", NameKey(spec), Encode(identity), [&] { return DoRun(spec); }, caller_gone));
  return SandboxId(std::move(id));
}

Result<SandboxRecord> SandboxManager::Describe(const SandboxSpec& spec) {
  SandboxRecord record;
  ASSIGN_OR_RETURN(std::string id, RandomId());
  record.id = SandboxId(std::move(id));
  record.spec = spec;
  record.created_at_ns = NowNs();
  record.shares_ptrace = spec.privileged;
  record.boot_id = engine_.boot_id;
  const std::string own_parent = engine_.config.cgroup_root + "/pods/" + record.id.str();
  ASSIGN_OR_RETURN(record.containers_group, cgroups::NormalizeParent(spec.cgroup_parent, own_parent));
  ASSIGN_OR_RETURN(record.group, cgroups::JoinGroup(record.containers_group, record.id.str()));
  return record;
}

Result<std::string> SandboxManager::DoRun(const SandboxSpec& spec) {
  // The operation table lets one call with this name run at a time, so look and record are one step.
  for (const SandboxPtr& other : engine_.store->Sandboxes()) {
    if (NameKey(other->spec) != NameKey(spec)) continue;
    return Error::Make(ErrorCode::kAlreadyExists, "pod sandbox ", spec.name_space, "/", spec.name, " attempt ",
                       std::to_string(spec.attempt), " exists as ", other->id.str());
  }
  ASSIGN_OR_RETURN(SandboxRecord record, Describe(spec));
  const SandboxId id = record.id;
  const About about(About::What::kSandbox, id.str());
  const About about_pod(About::What::kPod, spec.name_space + "/" + spec.name);
  SandboxBuild build{engine_, std::move(record), engine_.live.Get(id), EventsOf(id), {}};
  const std::unique_lock operations(build.live->operations);
  if (Result<> done = RunSteps(SandboxSteps(), build, engine_.config.fault); !done) {
    engine_.live.Erase(id);
    return std::move(done).error().Wrap("run pod sandbox ", spec.name);
  }
  engine_.Changed(id);
  return id.str();
}

// Events come on the reactor's thread, which must not block: the work goes to the pool.
runtime::MonitorEvents SandboxManager::EventsOf(const SandboxId& id) {
  return {.exited =
              [this, id](const runtime::ContainerExit& exit) {
                engine_.tasks.Post([this, id, exit] { containers_.HandleExit(id, exit); });
              },
          .pause_exited = [this, id] { engine_.tasks.Post([this, id] { OnPauseExited(id); }); },
          .lost = [this, id] { engine_.tasks.Post([this, id] { OnMonitorLost(id); }); }};
}

Result<> SandboxManager::WaitContainersExited(const SandboxId& id, LiveSandbox& live) {
  const auto all_exited = [&] {
    const auto containers = engine_.store->ContainersOf(id);
    return engine_.ending || std::none_of(containers.begin(), containers.end(),
                                          [](const ContainerPtr& c) { return c->state == ContainerState::kRunning; });
  };
  std::unique_lock lock(live.mutex);
  if (live.changed.wait_for(lock, kExitsDeadline, all_exited)) return {};
  return Error::Make(ErrorCode::kInternal, "containers of ", id.str(), " did not end");
}

Result<> SandboxManager::StopLocked(const SandboxRecord& record, LiveSandbox& live) {
  std::shared_ptr<runtime::MonitorClient> monitor;
  {
    const std::lock_guard lock(live.mutex);
    live.stopping = true;
    monitor = live.monitor;
  }
  live.changed.notify_all();
  if (monitor != nullptr) {
    // First end everything and record the exits; the table then finds nothing running.
    if (auto stopped = monitor->Stop(); stopped) {
      RETURN_IF_ERROR(WaitContainersExited(record.id, live));
    } else if (stopped.error().code() == ErrorCode::kUnavailable) {
      monitor->KillMonitor();
      SettleLost(record, false);
    }
  }
  SandboxBuild build{engine_, record, engine_.live.Get(record.id), {}, {}};
  return UndoSteps(SandboxRunningSteps(), build);
}

Result<> SandboxManager::Stop(const SandboxId& id) {
  SandboxPtr record = engine_.store->Find(id);
  if (record == nullptr || record->state != SandboxState::kReady) return {};
  const About about(About::What::kSandbox, id.str());
  const About about_pod(About::What::kPod, record->spec.name_space + "/" + record->spec.name);
  const LivePtr live = engine_.live.Get(id);
  const std::unique_lock operations(live->operations);
  record = engine_.store->Find(id);
  if (record == nullptr || record->state != SandboxState::kReady) return {};
  RETURN_IF_ERROR(StopLocked(*record, *live), "stop pod sandbox ", id.str());
  engine_.Changed(id);
  return {};
}

Result<> SandboxManager::Remove(const SandboxId& id) {
  if (engine_.store->Find(id) == nullptr) return {};
  const About about(About::What::kSandbox, id.str());
  const LivePtr live = engine_.live.Get(id);
  const std::unique_lock operations(live->operations);
  const SandboxPtr record = engine_.store->Find(id);
  if (record == nullptr) return {};
  if (record->state == SandboxState::kReady)
    RETURN_IF_ERROR(StopLocked(*record, *live), "remove pod sandbox ", id.str());
  for (const ContainerPtr& container : engine_.store->ContainersOf(id)) {
    RETURN_IF_ERROR(containers_.RemoveStopped(*container));
  }
  SandboxBuild build{engine_, *record, live, {}, {}};
  RETURN_IF_ERROR(UndoSteps(SandboxSteps(), build), "remove pod sandbox ", id.str());
  engine_.Changed(id);
  engine_.live.Erase(id);
  return {};
}

void SandboxManager::OnPauseExited(const SandboxId& id) {
  const About about(About::What::kSandbox, id.str());
  log::warn("pod sandbox {}: pause ended by itself", id.str());
  if (auto stopped = Stop(id); !stopped) log::error("{}", stopped.error().message());
}

// Without its monitor a pod's output and exit codes are lost: it is ended at once.
void SandboxManager::OnMonitorLost(const SandboxId& id) {
  const About about(About::What::kSandbox, id.str());
  const LivePtr live = engine_.live.Get(id);
  const std::unique_lock operations(live->operations);
  const SandboxPtr record = engine_.store->Find(id);
  if (record == nullptr || record->state != SandboxState::kReady) return;
  log::error("pod sandbox {}: its monitor is lost, the pod is ended", id.str());
  SettleLost(*record, false);
  engine_.Changed(id);
}

}  // namespace fermata::sandbox
