// PodEngine: runs pods from manifests without Kubernetes, through the same calls as the CRI, never past them.
//
// One worker a pod: compares what the manifest wants with what the store says and does the next thing, whenever
// something changed or a wait ran out. What it needs after a restart of the daemon lies in the sandbox's record.
// Thread-safe; Apply, Stop and Remove block.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/container_manager.h"
#include "sandbox/engine.h"
#include "sandbox/pods/change_notifier.h"
#include "sandbox/pods/manifest.h"
#include "sandbox/sandbox_manager.h"

namespace fermata::sandbox::pods {

struct ContainerView {
  std::string name;
  ContainerPtr newest;  // nullptr: not made yet
  bool waits_for_restart = false;
  uint32_t restarts = 0;
};

struct PodView {
  SandboxPtr sandbox;
  std::string phase;  // Pending, Running, Succeeded, Failed
  std::vector<ContainerView> containers;
};

class PodEngine {
 public:
  PodEngine(Engine& engine, SandboxManager& sandboxes, ContainerManager& containers)
      : engine_(engine), sandboxes_(sandboxes), containers_(containers) {}
  ~PodEngine() { End(); }
  PodEngine(const PodEngine&) = delete;
  PodEngine& operator=(const PodEngine&) = delete;

  void Start();  // takes over the pods of the store
  void End();

  // Nothing is started unless every document is valid and every image there, or pulled, which `cancellation` may end.
  // On failure the pods of this call are removed again.
  Result<std::vector<SandboxId>> Apply(const std::string& manifest, const std::string& file_name,
                                       const std::shared_ptr<const overlay::Cancellation>& cancellation);
  // Graceful; unset: the manifest's own time. The pod stays listed.
  Result<> Stop(const SandboxId& id, std::optional<std::chrono::seconds> grace);
  // kFailedPrecondition for a running one without `force`.
  Result<> Remove(const SandboxId& id, bool force);

  // Pods of manifests and, with `all`, the CRI's sandboxes in the same form.
  [[nodiscard]] std::vector<PodView> List(bool all) const;
  [[nodiscard]] Result<PodView> View(const SandboxId& id) const;

  void OnChange(const SandboxId& id);  // never blocks
  // Tells of every change of every pod.
  ChangeNotifier& changes() { return changes_; }

 private:
  struct Backoff {
    std::chrono::seconds delay{0};
    uint32_t attempt = 0;  // the exit of this one is counted already
    int64_t due_ns = 0;    // when its successor may start
  };
  struct Worker {
    SandboxId id;
    PodManifest manifest;
    std::mutex mutex;                        // one Sync or Stop at a time; guards what follows
    std::map<std::string, Backoff> backoff;  // by container
    bool stopping = false;
  };
  using WorkerPtr = std::shared_ptr<Worker>;

  Result<> CheckNameIsFree(const SandboxSpec& wanted) const;
  Result<SandboxId> ApplyOne(const PodManifest& manifest, const std::string& text, uint32_t index);
  Result<> PrepareVolumes(const PodManifest& manifest, const std::string& directory);
  void SweepDirectories();
  void Loop();
  void Wake(const SandboxId& id, std::chrono::steady_clock::time_point when);
  WorkerPtr FindWorker(const SandboxId& id) const;
  void Sync(const WorkerPtr& worker);
  // Makes and starts what is due; the error of what could not be made.
  Result<> SyncContainers(Worker& worker);
  Result<> StartAttempt(Worker& worker, const PodContainer& container, uint32_t attempt);
  // True when the exited container is to be started again now; else arranges for later, if ever.
  bool RestartIsDue(Worker& worker, const PodContainer& container, const ContainerRecord& exited);
  void RemoveOldAttempts(const Worker& worker, const std::string& name, uint32_t newest);
  [[nodiscard]] PodView ViewOf(const SandboxPtr& sandbox) const;
  [[nodiscard]] std::string PodDirectory(const std::string& uid) const;

  Engine& engine_;
  SandboxManager& sandboxes_;
  ContainerManager& containers_;

  ChangeNotifier changes_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable woken_;
  std::map<SandboxId, WorkerPtr> workers_;
  std::map<SandboxId, std::chrono::steady_clock::time_point> due_;
  std::set<SandboxId> syncing_;
  bool ending_ = false;
  std::thread thread_;
};

// True when a container that has exited is to be started again.
bool ShouldRestart(RestartPolicy policy, int exit_code);

// kubelet's phase (getPhase), for pods without init containers.
std::string PhaseOf(RestartPolicy policy, bool sandbox_ready, const std::vector<ContainerView>& containers);

}  // namespace fermata::sandbox::pods
