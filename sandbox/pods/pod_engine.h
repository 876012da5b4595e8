// PodEngine: runs pods from manifests without Kubernetes, through the same calls as the CRI, never past them.
//
// One worker a pod: compares what the manifest wants with what the store says and does the next thing, whenever
// something changed or a wait ran out. What it needs after a restart of the daemon lies in the records of the sandbox
// and its containers. Thread-safe; Apply, Stop and Remove block, a pass over a pod never waits for a hook or a kill.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
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
#include "sandbox/pods/manifest_diff.h"
#include "sandbox/pods/pod_events.h"
#include "sandbox/pods/pod_status.h"
#include "sandbox/probe/flight_recorder.h"
#include "sandbox/probe/probe_runner.h"
#include "sandbox/probe/prober.h"
#include "sandbox/sandbox_manager.h"

namespace fermata::sandbox::pods {

// A probe of a manifest, and how it came out.
struct ProbeView {
  std::string container;  // its name
  probe::ProbeType type = probe::ProbeType::kLiveness;
  probe::ProbeSpec spec;
  std::optional<probe::Verdict> believed;  // of the instance that runs; nullopt: none runs, or it was not looked at yet
  std::vector<probe::Flight> flights;      // the oldest first
};

// Which probes of a pod are meant; empty: of all containers, of all types.
struct ProbeChoice {
  std::string container;
  std::optional<probe::ProbeType> type;
};

// What is to become of a pod that has the name of one of a manifest.
enum class Existing : uint8_t {
  kRefuse,          // kAlreadyExists
  kReplace,         // stopped, and removed when the new one has started
  kKeep,            // stays when it was made from the same; else kFailedPrecondition names what differs
  kReplaceIfOther,  // stays when it was made from the same, unless the machine went down under it; else replaced
};

struct PodChange {
  enum class Action : uint8_t { kCreated, kUnchanged, kReplaced } action = Action::kCreated;
  SandboxId id;                         // of the pod that is there now, or was when this was only planned
  std::vector<FieldDifference> fields;  // from the old manifest to the new one
};

class PodEngine {
 public:
  PodEngine(Engine& engine, SandboxManager& sandboxes, ContainerManager& containers, probe::GrpcCheck grpc);
  ~PodEngine() { End(); }
  PodEngine(const PodEngine&) = delete;
  PodEngine& operator=(const PodEngine&) = delete;

  void Start();  // takes over the pods of the store
  void End();

  struct ApplyRequest {
    std::string manifest, file_name;
    bool allow_ignored = false;  // see ManifestOptions
    Existing existing = Existing::kRefuse;
  };
  struct Planned {
    std::vector<PodManifest> pods;
    std::vector<PodChange> changes;  // one a pod
  };
  // What Apply would make, without making anything; `ignored` gets what it would leave out. Claims and names are looked
  // at, images are not.
  Result<Planned> Check(const ApplyRequest& request, std::vector<std::string>& ignored) const;
  // Nothing is started unless every document is valid and every image there, or pulled, which `cancellation` may end.
  // On failure the pods that this call has added are removed again; one that could not be replaced stays, stopped.
  Result<std::vector<PodChange>> Apply(const ApplyRequest& request,
                                       const std::shared_ptr<const overlay::Cancellation>& cancellation);
  // Graceful; unset: the manifest's own time, 0: kills at once, without hooks. The pod stays listed.
  Result<> Stop(const SandboxId& id, std::optional<std::chrono::seconds> grace);
  // Stops it as Stop does, and starts a pod of a new uid from the manifest that it was made from, its attempt one
  // higher; the old one is removed then. kFailedPrecondition for what is not of a manifest. What the new one needs of
  // images and claims is looked for before the old one is stopped; when it does not start all the same, the old one
  // stays, stopped.
  Result<SandboxId> Restart(const SandboxId& id, std::optional<std::chrono::seconds> grace,
                            const std::shared_ptr<const overlay::Cancellation>& cancellation);
  // kFailedPrecondition for a running one without `force`.
  Result<> Remove(const SandboxId& id, bool force);

  // Pods of manifests and, with `all`, the CRI's sandboxes in the same form.
  [[nodiscard]] std::vector<PodView> List(bool all) const;
  [[nodiscard]] Result<PodView> View(const SandboxId& id) const;

  // nullptr: not of a manifest.
  [[nodiscard]] std::shared_ptr<const PodManifest> ManifestOf(const SandboxId& id) const;
  // All of them, each with its last `most` flights; none for what is not of a manifest.
  [[nodiscard]] std::vector<ProbeView> ProbesOf(const SandboxId& id, size_t most = probe::kFlightsKept) const;
  // At least one. kNotFound says what there is; kFailedPrecondition for what is not of a manifest.
  [[nodiscard]] Result<std::vector<ProbeView>> ChooseProbes(const SandboxId& id, const ProbeChoice& choice) const;
  // Runs one probe now, outside its schedule: counts for nothing and is not recorded. Blocks as long as the probe's own
  // time-out and a moment. kInvalidArgument when several are meant, kFailedPrecondition when the container does not
  // run.
  Result<probe::ProbeReport> RunProbe(const SandboxId& id, const ProbeChoice& choice);

  void OnChange(const SandboxId& id);  // never blocks
  // Tells of every change of every pod.
  ChangeNotifier& changes() { return changes_; }
  PodEvents& events() { return events_; }

 private:
  struct Worker {
    SandboxId id;
    PodManifest manifest;  // does not change once the worker is known
    std::atomic<bool> stopping = false;
    std::mutex mutex;               // one Sync, or beginning of a Stop, at a time; guards what follows
    std::set<ContainerId> hooked;   // those whose postStart is under way
    std::set<ContainerId> killed;   // those that are being killed for a probe or a hook
    std::set<ContainerId> waited;   // those that have exited and whose back-off was told
    bool finishing = false;         // its sidecars are being stopped
    probe::FlightRecorder flights;  // has a lock of its own
  };
  using WorkerPtr = std::shared_ptr<Worker>;

  // What happened to a pod before there was one.
  struct EarlyEvent {
    EventText text;
    int64_t at_ns = 0;
  };
  // The names of pods that are being made or made anew; one call at a time.
  class NameHold {
   public:
    explicit NameHold(PodEngine& engine) : engine_(engine) {}
    ~NameHold();
    NameHold(const NameHold&) = delete;
    NameHold& operator=(const NameHold&) = delete;
    // kFailedPrecondition when another call holds it.
    Result<> Take(const SandboxSpec& pod);

   private:
    PodEngine& engine_;
    std::vector<std::pair<std::string, std::string>> taken_;
  };
  // The pod of a manifest that has the name; nullptr: none.
  [[nodiscard]] SandboxPtr FindNamed(const SandboxSpec& wanted) const;
  Result<PodChange> PlanOne(const ApplyRequest& request, const PodManifest& pod) const;
  Result<std::vector<PodChange>> PlanChanges(const ApplyRequest& request, const std::vector<PodManifest>& pods) const;
  // Stops `old` and starts `manifest` in its place, whose images are there.
  struct Replacement {
    const PodManifest& manifest;
    const ApplyRequest& request;
    uint32_t index = 0;
    std::optional<std::chrono::seconds> grace;
  };
  Result<SandboxId> ReplaceOne(const SandboxRecord& old, const Replacement& fresh,
                               const std::vector<EarlyEvent>& before);
  Result<SandboxId> ApplyOne(const PodManifest& manifest, const ApplyRequest& request, uint32_t index,
                             const std::vector<EarlyEvent>& before);
  Result<std::vector<EarlyEvent>> PullImages(const PodManifest& manifest,
                                             const std::shared_ptr<const overlay::Cancellation>& cancellation);
  Result<SandboxSpec> PrepareOne(const PodManifest& manifest, const ApplyRequest& request, uint32_t index);
  void RemoveDirectory(const std::string& uid);
  void SweepDirectories();
  void Loop();
  void Wake(const SandboxId& id, std::chrono::steady_clock::time_point when);
  WorkerPtr FindWorker(const SandboxId& id) const;
  // An event of a pod that is there.
  void Tell(const SandboxId& pod, EventText text);
  // pod_probes.cc
  void OnProbe(const probe::ProbeKey& key, const probe::ProbeReport& report);
  void Remember(const probe::ProbeKey& key, const probe::ProbeReport& report);
  void Sync(const WorkerPtr& worker);
  void AddProbes(const Worker& worker);
  probe::ContainerFacts Look(const probe::ProbeKey& key) const;
  [[nodiscard]] PodView ViewOf(const SandboxPtr& sandbox) const;
  void FillView(const SandboxPtr& sandbox, const Worker* worker, const PodContainer& container,
                ContainerView& view) const;

  // pod_sync.cc: makes and starts what is due; the error of what could not be made.
  Result<> SyncContainers(const WorkerPtr& worker);
  // True when the containers may start.
  Result<bool> SyncInit(const WorkerPtr& worker);
  // False: who comes after it has to wait for it.
  Result<bool> SyncOne(const WorkerPtr& worker, const PodContainer& container, ContainerKind kind);
  Result<bool> StartAttempt(const WorkerPtr& worker, const PodContainer& container, const ContainerRecord* before);
  void StartOne(const Worker& worker, const ContainerId& id, const std::string& name);
  Result<ContainerSpec> SpecOf(const Worker& worker, const PodContainer& container);
  // What decides over restarts now: a Job's limit may have been reached.
  [[nodiscard]] RestartPolicy PolicyNow(const Worker& worker, const PodContainer& container, ContainerKind kind) const;
  // Stops the pod when its time is over, else arranges for it. True when it is.
  bool DeadlineIsOver(const WorkerPtr& worker, const SandboxRecord& sandbox);
  void StopLater(const WorkerPtr& worker);
  // When the exited container is to be started again it is now; else arranges for later, if ever.
  bool RestartIsDue(Worker& worker, RestartPolicy policy, const ContainerRecord& exited);
  void RemoveOldAttempts(const Worker& worker, const std::string& name, uint32_t newest);
  bool HookIsDone(const WorkerPtr& worker, const PodContainer& container, const ContainerPtr& running);
  void EndPostStart(const WorkerPtr& worker, const PodContainer& container, const ContainerPtr& running,
                    const Result<>& done);
  void KillUnhealthy(const WorkerPtr& worker);
  void RecordMarks(const Worker& worker, const PodView& view);
  Result<> FinishIfOver(const WorkerPtr& worker, const PodView& view);

  // pod_stop.cc: kills of containers, in their own time.
  struct Kill {
    const PodContainer* container;
    ContainerPtr running;
    std::vector<ContainerId> after;  // it waits for these
  };
  void KillContainer(const Kill& kill, std::chrono::seconds grace);
  void RunPreStop(const Kill& kill, std::chrono::seconds limit);
  // Waits until `done`, which is asked at every change of the sandbox, or the deadline, or the end of the daemon.
  void WaitForChange(const SandboxId& id, std::chrono::steady_clock::time_point deadline,
                     const std::function<bool()>& done);
  std::vector<Kill> KillsOf(const Worker& worker) const;
  [[nodiscard]] std::string PodDirectory(const std::string& uid) const;

  Engine& engine_;
  SandboxManager& sandboxes_;
  ContainerManager& containers_;
  probe::ProbeRunner runner_;

  ChangeNotifier changes_;
  PodEvents events_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable woken_;
  std::map<SandboxId, WorkerPtr> workers_;
  std::map<SandboxId, std::chrono::steady_clock::time_point> due_;
  std::set<SandboxId> syncing_;
  std::set<std::pair<std::string, std::string>> held_names_;  // namespace, name
  bool ending_ = false;
  std::thread thread_;
  probe::Prober prober_;  // last: calls into all above
};

}  // namespace fermata::sandbox::pods
