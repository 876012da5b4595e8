// SandboxManager: pod sandboxes from Run to Remove, in the meaning of the CRI, and their recovery when the
// daemon starts. Thread-safe; calls block for as long as their work takes.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "sandbox/container_manager.h"
#include "sandbox/engine.h"

namespace fermata::sandbox {

class SandboxManager {
 public:
  SandboxManager(Engine& engine, ContainerManager& containers) : engine_(engine), containers_(containers) {}

  // Returns when the sandbox is ready; on failure nothing is left. kAlreadyExists: the metadata is in use.
  Result<SandboxId> Run(const SandboxSpec& spec, const OperationTable::CallerGone& caller_gone = {});
  // Kills what runs in it and releases its namespaces and network. Unknown or stopped: success.
  Result<> Stop(const SandboxId& id);
  // Stops if needed and removes it with its containers. Unknown: success.
  Result<> Remove(const SandboxId& id);

  // At start, before the first request: finds the monitors of what the store knows, records what happened
  // meanwhile, undoes what was half made, sweeps what has no record. Logs what it cannot mend and goes on.
  void Recover();

 private:
  friend struct SandboxBuild;
  Result<std::string> DoRun(const SandboxSpec& spec);
  Result<SandboxRecord> Describe(const SandboxSpec& spec);
  Result<> StopLocked(const SandboxRecord& record, LiveSandbox& live);
  Result<> WaitContainersExited(const SandboxId& id, LiveSandbox& live);
  runtime::MonitorEvents EventsOf(const SandboxId& id);
  void OnMonitorLost(const SandboxId& id);
  void OnPauseExited(const SandboxId& id);
  // recover.cc
  void RecoverOne(const SandboxRecord& record);
  Result<> Reconnect(const SandboxRecord& record);
  void Adopt(const SandboxRecord& record, const runtime::MonitorState& state);
  void SettleLost(const SandboxRecord& record, bool rebooted);
  void RecordLostContainer(const ContainerRecord& container, bool rebooted);
  void Sweep();

  Engine& engine_;
  ContainerManager& containers_;
};

// Handed to the steps; public for them alone.
struct SandboxBuild {
  Engine& engine;
  SandboxRecord record;
  LivePtr live;
  runtime::MonitorEvents events;
  cgroups::Cgroup group;
};

}  // namespace fermata::sandbox
