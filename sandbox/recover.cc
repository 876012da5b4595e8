// What happened while no daemon was there; part of sandbox_manager.h.
#include <fcntl.h>

#include <algorithm>
#include <set>

#include "runtime/base/file.h"
#include "runtime/base/operation.h"
#include "runtime/monitor/exit_record.h"
#include "sandbox/sandbox_manager.h"
#include "sandbox/sandbox_steps.h"

namespace fermata::sandbox {
namespace {

void LogFailure(const Result<>& done, const std::string& what) {
  if (!done) log::error("{}: {}", what, done.error().message());
}

}  // namespace

void SandboxManager::Recover() {
  for (const std::string& problem : engine_.store->problems()) log::error("state.db: {}", problem);
  for (const std::string& problem : engine_.images->problems()) log::error("images.db: {}", problem);
  const std::vector<SandboxPtr> all = engine_.store->Sandboxes();
  std::mutex mutex;
  std::condition_variable finished;
  size_t left = all.size();
  for (const SandboxPtr& record : all) {  // side by side: one monitor that does not answer holds up no other
    engine_.tasks.Post([&, record] {
      RecoverOne(*record);
      const std::lock_guard lock(mutex);
      if (--left == 0) finished.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  finished.wait(lock, [&] { return left == 0; });
  std::set<std::string> ready;
  for (const SandboxPtr& record : engine_.store->Sandboxes()) {
    if (record->state == SandboxState::kReady) ready.insert(record->id.str());
  }
  engine_.network.Recover(ready);
  Sweep();
}

void SandboxManager::RecoverOne(const SandboxRecord& record) {
  Operation operation("Recover");
  const About about(About::What::kSandbox, record.id.str());
  const LivePtr live = engine_.live.Get(record.id);
  const std::unique_lock operations(live->operations);
  if (record.state == SandboxState::kCreating) {
    log::info("pod sandbox {}: was half made, undoing it", record.id.str());
    (void)Reconnect(record);  // if there is a monitor already it ends in order
    SandboxBuild build{engine_, record, live, {}, {}};
    LogFailure(UndoSteps(SandboxSteps(), build), "undo pod sandbox " + record.id.str());
    engine_.live.Erase(record.id);
    return;
  }
  if (record.state != SandboxState::kReady) return;
  const bool rebooted = record.boot_id != engine_.boot_id;
  if (!rebooted && Reconnect(record)) return;
  log::warn("pod sandbox {}: {}", record.id.str(), rebooted ? "the machine was rebooted" : "its monitor is gone");
  SettleLost(record, rebooted);
}

Result<> SandboxManager::Reconnect(const SandboxRecord& record) {
  ASSIGN_OR_RETURN(const UniqueFd directory,
                   OpenAt(engine_.sandboxes_dir.get(), record.id.str(), O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(auto monitor,
                   runtime::MonitorClient::Connect(*engine_.reactor, directory.get(), EventsOf(record.id)));
  const LivePtr live = engine_.live.Get(record.id);
  {
    const std::lock_guard lock(live->mutex);
    live->monitor = monitor;
  }
  ASSIGN_OR_RETURN(const runtime::MonitorState state, monitor->State());
  if (record.state == SandboxState::kReady) Adopt(record, state);
  return {};
}

// The monitor's word is the truth about what runs and what has ended.
void SandboxManager::Adopt(const SandboxRecord& record, const runtime::MonitorState& state) {
  std::set<std::string> known;
  for (const runtime::MonitoredContainer& container : state.containers) {
    known.insert(container.id);
    if (container.exit) {
      containers_.HandleExit(record.id, *container.exit);
      continue;
    }
    auto updated = engine_.store->Update(ContainerId(container.id), [&](ContainerRecord& r) {
      r.state = ContainerState::kRunning;  // also when the daemon died between start and record
      r.pid = container.pid;
      r.started_at_ns = container.started_at_ns;
    });
    if (!updated) log::error("adopt container {}: {}", container.id, updated.error().message());
  }
  for (const ContainerPtr& container : engine_.store->ContainersOf(record.id)) {
    // Recorded as running, unknown to the monitor: its exit was acknowledged but not recorded.
    if (container->state == ContainerState::kRunning && !known.contains(container->id.str())) {
      RecordLostContainer(*container, false);
    }
  }
  if (state.pause_pid < 0) engine_.tasks.Post([this, id = record.id] { OnPauseExited(id); });
}

void SandboxManager::RecordLostContainer(const ContainerRecord& container, bool rebooted) {
  const About about(About::What::kContainer, container.id.str());
  auto exits = ReadFileAt(engine_.sandboxes_dir.get(), container.sandbox.str() + "/exits");
  const auto records = exits ? runtime::ParseExitRecords(*exits) : std::vector<runtime::ExitRecord>{};
  const auto found = std::find_if(records.begin(), records.end(),
                                  [&](const runtime::ExitRecord& r) { return r.id() == container.id.str(); });
  auto updated = engine_.store->Update(container.id, [&](ContainerRecord& r) {
    r.state = ContainerState::kExited;
    r.pid = 0;
    if (found != records.end()) {
      r.exit_code = found->exit_code;
      r.finished_at_ns = found->finished_at_ns;
      r.reason = found->oom_killed != 0 ? "OOMKilled" : r.exit_code == 0 ? "Completed" : "Error";
      return;
    }
    r.exit_code = rebooted ? 255 : 137;
    r.reason = rebooted ? "Unknown" : "MonitorLost";
    r.finished_at_ns = NowNs();
  });
  if (!updated) log::error("record lost container {}: {}", container.id.str(), updated.error().message());
}

void SandboxManager::SettleLost(const SandboxRecord& record, bool rebooted) {
  // The groups first, so that nothing runs on that nobody watches.
  for (const ContainerPtr& container : engine_.store->ContainersOf(record.id)) {
    if (auto group = engine_.cgroup_mount.OpenBelow(container->group))
      LogFailure(group->Kill(), "kill " + container->group);
  }
  for (const ContainerPtr& container : engine_.store->ContainersOf(record.id)) {
    if (container->state == ContainerState::kRunning) RecordLostContainer(*container, rebooted);
  }
  if (auto group = engine_.cgroup_mount.OpenBelow(record.group)) LogFailure(group->Kill(), "kill " + record.group);
  SandboxBuild build{engine_, record, engine_.live.Get(record.id), {}, {}};
  LogFailure(UndoSteps(SandboxRunningSteps(), build), "stop pod sandbox " + record.id.str());
}

// Things without a record: left by a crash between making and recording, or by a damaged record.
void SandboxManager::Sweep() {
  if (auto names = ListDirectory(engine_.sandboxes_dir.get())) {
    for (const std::string& name : *names) {
      if (engine_.store->Find(SandboxId(name)) != nullptr) continue;
      log::warn("sweep run directory of unknown sandbox {}", name);
      LogFailure(RemoveTree(engine_.sandboxes_dir.get(), name), "sweep " + name);
    }
  }
  for (const std::string& id : engine_.images->ListSnapshots()) {
    if (engine_.store->Find(ContainerId(id)) == nullptr)
      LogFailure(engine_.images->RemoveSnapshot(id), "sweep snapshot " + id);
  }
  for (const char* kind : {"/monitors", "/pods"}) {
    const std::string parent = engine_.config.cgroup_root + kind;
    auto groups = engine_.cgroup_mount.OpenBelow(parent);
    if (!groups) continue;
    auto names = ListDirectory(groups->fd());
    if (!names) continue;
    for (const std::string& name : *names) {
      if (name.size() != 64 || engine_.store->Find(SandboxId(name)) != nullptr) continue;
      auto group = engine_.cgroup_mount.OpenBelow(parent + "/" + name);
      if (!group) continue;
      log::warn("sweep control group of unknown sandbox {}", name);
      LogFailure(group->Kill(), "sweep " + name);
      LogFailure(group->WaitEmpty(std::chrono::seconds(5)), "sweep " + name);
      LogFailure(engine_.cgroup_mount.Remove(parent + "/" + name), "sweep " + name);
    }
  }
}

}  // namespace fermata::sandbox
