#include "sandbox/pods/pod_engine.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/random_id.h"
#include "sandbox/pods/host_path.h"
#include "sandbox/pods/pod_images.h"

namespace fermata::sandbox::pods {
namespace {

using Clock = std::chrono::steady_clock;

// kubelet's numbers: the first restart at once, then 10 s doubled up to 5 min; a run of 10 min forgets it all.
constexpr std::chrono::seconds kFirstDelay{10};
constexpr std::chrono::seconds kLongestDelay{300};
constexpr int64_t kForgetAfterNs = 600'000'000'000;

std::string LogPath(const std::string& container, uint32_t attempt) {
  return container + "/" + std::to_string(attempt) + ".log";
}

// In the form of a UUID, as kubelet's: it stands in paths and annotations that people read.
Result<std::string> NewUid() {
  ASSIGN_OR_RETURN(std::string hex, RandomId());
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-4" + hex.substr(13, 3) + "-a" + hex.substr(17, 3) + "-" +
         hex.substr(20, 12);
}

ContainerPtr Newest(const Store& store, const SandboxId& id, const std::string& name) {
  ContainerPtr newest;
  for (const ContainerPtr& container : store.ContainersOf(id)) {
    if (container->spec.name == name && (newest == nullptr || container->spec.attempt > newest->spec.attempt)) {
      newest = container;
    }
  }
  return newest;
}

}  // namespace

bool ShouldRestart(RestartPolicy policy, int exit_code) {
  return policy == RestartPolicy::kAlways || (policy == RestartPolicy::kOnFailure && exit_code != 0);
}

std::string PhaseOf(RestartPolicy policy, bool sandbox_ready, const std::vector<ContainerView>& containers) {
  bool running = false;
  bool restartable = false;
  bool failed = false;
  for (const ContainerView& view : containers) {
    if (view.newest == nullptr || view.newest->state == ContainerState::kCreated) {
      if (sandbox_ready) return "Pending";
      failed = true;
      continue;
    }
    if (view.newest->state != ContainerState::kExited) {
      running = true;
      continue;
    }
    restartable = restartable || (sandbox_ready && ShouldRestart(policy, view.newest->exit_code));
    failed = failed || view.newest->exit_code != 0;
  }
  if (running || restartable) return "Running";
  return failed ? "Failed" : "Succeeded";
}

std::string PodEngine::PodDirectory(const std::string& uid) const { return engine_.config.data_dir + "/pods/" + uid; }

void PodEngine::Start() {
  for (const SandboxPtr& sandbox : engine_.store->Sandboxes()) {
    if (sandbox->spec.owner != Owner::kPods) continue;
    auto manifests = ParseManifest(sandbox->spec.manifest, "recorded manifest");
    if (!manifests || manifests->size() <= sandbox->spec.manifest_index) {
      log::error("pod {}: its recorded manifest cannot be read", sandbox->spec.name);
      continue;
    }
    auto worker = std::make_shared<Worker>();
    worker->id = sandbox->id;
    worker->manifest = std::move((*manifests)[sandbox->spec.manifest_index]);
    worker->stopping = sandbox->state != SandboxState::kReady;
    workers_[sandbox->id] = worker;
    Wake(sandbox->id, Clock::now());
  }
  SweepDirectories();
  thread_ = std::thread([this] { Loop(); });
}

// Volumes and logs of pods that are not in the store: a crash came between making them and recording the pod.
void PodEngine::SweepDirectories() {
  auto pods = OpenAt(AT_FDCWD, engine_.config.data_dir + "/pods", O_RDONLY | O_DIRECTORY);
  if (!pods) return;  // none was ever made
  auto names = ListDirectory(pods->get());
  if (!names) return;
  const std::vector<SandboxPtr> known = engine_.store->Sandboxes();
  for (const std::string& uid : *names) {
    if (std::any_of(known.begin(), known.end(), [&](const SandboxPtr& s) { return s->spec.uid == uid; })) continue;
    if (auto removed = RemoveTree(pods->get(), uid); !removed)
      log::warn("sweep pod {}: {}", uid, removed.error().message());
  }
}

void PodEngine::End() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  woken_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PodEngine::OnChange(const SandboxId& id) {
  Wake(id, Clock::now());
  changes_.Notify();
}

void PodEngine::Wake(const SandboxId& id, Clock::time_point when) {
  {
    const std::lock_guard lock(mutex_);
    if (!workers_.contains(id)) return;
    const auto [entry, added] = due_.try_emplace(id, when);
    if (!added) entry->second = std::min(entry->second, when);
  }
  woken_.notify_all();
}

// Hands every worker that is due to the pool, one Sync at a time for each.
void PodEngine::Loop() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const auto now = Clock::now();
    auto next = Clock::time_point::max();
    for (auto entry = due_.begin(); entry != due_.end();) {
      const auto worker = workers_.find(entry->first);
      if (worker == workers_.end()) {
        entry = due_.erase(entry);
        continue;
      }
      if (entry->second > now || syncing_.contains(entry->first)) {
        if (!syncing_.contains(entry->first)) next = std::min(next, entry->second);
        ++entry;
        continue;
      }
      syncing_.insert(entry->first);
      engine_.tasks.Post([this, w = worker->second] { Sync(w); });
      entry = due_.erase(entry);
    }
    if (next == Clock::time_point::max()) {
      woken_.wait(lock);
    } else {
      (void)woken_.wait_until(lock, next);
    }
  }
}

PodEngine::WorkerPtr PodEngine::FindWorker(const SandboxId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : found->second;
}

void PodEngine::Sync(const WorkerPtr& worker) {
  {
    const std::lock_guard lock(worker->mutex);
    if (!worker->stopping && !engine_.ending) {
      if (auto done = SyncContainers(*worker); !done) {
        log::warn("pod {}: {}", worker->manifest.sandbox.name, done.error().message());
        Wake(worker->id, Clock::now() + kFirstDelay);
      }
    }
  }
  const std::lock_guard lock(mutex_);
  syncing_.erase(worker->id);
  woken_.notify_all();
}

bool PodEngine::RestartIsDue(Worker& worker, const PodContainer& container, const ContainerRecord& exited) {
  if (!ShouldRestart(worker.manifest.restart_policy, exited.exit_code)) return false;
  Backoff& backoff = worker.backoff[container.spec.name];
  if (backoff.attempt != exited.spec.attempt + 1) {  // an exit not counted yet
    if (exited.finished_at_ns - exited.started_at_ns > kForgetAfterNs) backoff.delay = {};
    backoff.due_ns =
        backoff.delay.count() == 0 ? 0 : exited.finished_at_ns + std::chrono::nanoseconds(backoff.delay).count();
    backoff.delay = backoff.delay.count() == 0 ? kFirstDelay : std::min(2 * backoff.delay, kLongestDelay);
    backoff.attempt = exited.spec.attempt + 1;
  }
  const int64_t left = backoff.due_ns - NowNs();
  if (left <= 0) return true;
  Wake(worker.id, Clock::now() + std::chrono::nanoseconds(left));
  return false;
}

Result<> PodEngine::SyncContainers(Worker& worker) {
  const SandboxPtr sandbox = engine_.store->Find(worker.id);
  if (sandbox == nullptr || sandbox->state != SandboxState::kReady) return {};
  for (const PodContainer& container : worker.manifest.containers) {
    const ContainerPtr newest = Newest(*engine_.store, worker.id, container.spec.name);
    if (newest == nullptr) {
      RETURN_IF_ERROR(StartAttempt(worker, container, 0));
    } else if (newest->state == ContainerState::kCreated) {
      (void)containers_.Start(newest->id);  // a failure is an exit of its own, and is treated as one
    } else if (newest->state == ContainerState::kExited && RestartIsDue(worker, container, *newest)) {
      RETURN_IF_ERROR(StartAttempt(worker, container, newest->spec.attempt + 1));
      RemoveOldAttempts(worker, container.spec.name, newest->spec.attempt);
    }
  }
  const PodView view = ViewOf(sandbox);
  if (view.phase != "Succeeded" && view.phase != "Failed") return {};
  return sandboxes_.Stop(worker.id);  // as kubelet: a pod that is over holds no sandbox
}

Result<> PodEngine::StartAttempt(Worker& worker, const PodContainer& container, uint32_t attempt) {
  const SandboxPtr sandbox = engine_.store->Find(worker.id);
  ContainerSpec spec = container.spec;
  spec.attempt = attempt;
  spec.log_path = LogPath(spec.name, attempt);
  spec.labels["io.kubernetes.container.name"] = spec.name;
  spec.labels["io.kubernetes.pod.name"] = sandbox->spec.name;
  spec.labels["io.kubernetes.pod.namespace"] = sandbox->spec.name_space;
  spec.labels["io.kubernetes.pod.uid"] = sandbox->spec.uid;
  for (const VolumeMount& mount : container.volume_mounts) {
    const auto& volumes = worker.manifest.volumes;
    const auto volume =
        std::find_if(volumes.begin(), volumes.end(), [&](const PodVolume& v) { return v.name == mount.volume; });
    ContainerMount added;
    added.container_path = mount.mount_path;
    added.readonly = mount.readonly;
    added.host_path = volume->kind == PodVolume::Kind::kHostPath
                          ? volume->host_path
                          : PodDirectory(sandbox->spec.uid) + "/volumes/" + volume->name;
    spec.mounts.push_back(std::move(added));
  }
  ASSIGN_OR_RETURN(const ContainerId id, containers_.Create(worker.id, spec), "create container ", spec.name);
  (void)containers_.Start(id);  // recorded as StartError; the restart policy decides what becomes of it
  return {};
}

// One attempt before the newest stays, with its log, to look at.
void PodEngine::RemoveOldAttempts(const Worker& worker, const std::string& name, uint32_t newest) {
  for (const ContainerPtr& container : engine_.store->ContainersOf(worker.id)) {
    if (container->spec.name != name || container->spec.attempt >= newest) continue;
    if (auto removed = containers_.Remove(container->id); !removed) log::warn("{}", removed.error().message());
    (void)::unlink(container->log_path.c_str());
  }
}

Result<> PodEngine::PrepareVolumes(const PodManifest& manifest, const std::string& directory) {
  for (const PodVolume& volume : manifest.volumes) {
    if (volume.kind == PodVolume::Kind::kHostPath) {
      RETURN_IF_ERROR(PrepareHostPath(*engine_.paths, volume.host_path, volume.host_path_type), "volume ", volume.name);
      continue;
    }
    ASSIGN_OR_RETURN(const UniqueFd made, MakeDirectories(AT_FDCWD, directory + "/volumes/" + volume.name));
    if (::fchmod(made.get(), 0777) != 0) return Error::Errno("chmod volume ", volume.name);  // as kubelet's emptyDir
  }
  return {};
}

Result<SandboxId> PodEngine::ApplyOne(const PodManifest& manifest, const std::string& text, uint32_t index) {
  auto worker = std::make_shared<Worker>();
  worker->manifest = manifest;
  SandboxSpec spec = manifest.sandbox;
  ASSIGN_OR_RETURN(spec.uid, NewUid());
  spec.manifest = text;
  spec.manifest_index = index;
  const std::string directory = PodDirectory(spec.uid);
  spec.log_directory = directory + "/logs";
  RETURN_IF_ERROR(MakeDirectories(AT_FDCWD, spec.log_directory));
  const auto remove_directory = [&] { (void)RemoveTree(AT_FDCWD, directory); };
  if (auto prepared = PrepareVolumes(manifest, directory); !prepared) {
    remove_directory();
    return std::move(prepared).error();
  }
  auto id = sandboxes_.Run(spec);
  if (!id) {
    remove_directory();
    return std::move(id).error();
  }
  worker->id = *id;
  const std::lock_guard sync(worker->mutex);  // until the first pass is done nobody else makes one
  {
    const std::lock_guard lock(mutex_);
    workers_[*id] = worker;
  }
  if (auto done = SyncContainers(*worker); !done) {
    worker->stopping = true;
    {
      const std::lock_guard lock(mutex_);
      workers_.erase(*id);
    }
    (void)sandboxes_.Remove(*id);
    remove_directory();
    return std::move(done).error();
  }
  return *id;
}

Result<> PodEngine::CheckNameIsFree(const SandboxSpec& wanted) const {
  for (const PodView& other : List(false)) {
    if (other.sandbox->spec.name != wanted.name || other.sandbox->spec.name_space != wanted.name_space) continue;
    return Error::Make(ErrorCode::kAlreadyExists, "pod ", wanted.name, " exists already (", other.phase,
                       "); remove it with: fermata rm ", wanted.name);
  }
  return {};
}

Result<std::vector<SandboxId>> PodEngine::Apply(const std::string& manifest, const std::string& file_name,
                                                const std::shared_ptr<const overlay::Cancellation>& cancellation) {
  ASSIGN_OR_RETURN(const std::vector<PodManifest> pods, ParseManifest(manifest, file_name));
  if (pods.empty()) return Error::Make(ErrorCode::kInvalidArgument, file_name, ": holds no pod");
  for (const PodManifest& pod : pods) RETURN_IF_ERROR(CheckNameIsFree(pod.sandbox));
  for (const PodManifest& pod : pods) {
    for (const PodContainer& container : pod.containers) {
      RETURN_IF_ERROR(EnsureImage(engine_, container, cancellation), "container ", container.spec.name);
    }
  }
  std::vector<SandboxId> ids;
  for (uint32_t index = 0; index < pods.size(); ++index) {
    auto id = ApplyOne(pods[index], manifest, index);
    if (id) {
      ids.push_back(*id);
      continue;
    }
    for (const SandboxId& made : ids) (void)Remove(made, true);
    return std::move(id).error().Wrap("pod ", pods[index].sandbox.name);
  }
  return ids;
}

Result<> PodEngine::Stop(const SandboxId& id, std::optional<std::chrono::seconds> grace) {
  const WorkerPtr worker = FindWorker(id);
  if (worker == nullptr) return sandboxes_.Stop(id);
  std::vector<ContainerPtr> running;
  {
    const std::lock_guard lock(worker->mutex);
    worker->stopping = true;  // no restart from here on
    for (const ContainerPtr& container : engine_.store->ContainersOf(id)) {
      if (container->state == ContainerState::kRunning) running.push_back(container);
    }
  }
  const auto time = grace.value_or(worker->manifest.termination_grace);
  std::vector<std::thread> stops;
  stops.reserve(running.size());
  for (const ContainerPtr& container : running) {  // side by side: each has the whole time
    stops.emplace_back([&, container] {
      if (auto stopped = containers_.Stop(container->id, time); !stopped) log::warn("{}", stopped.error().message());
    });
  }
  for (std::thread& stop : stops) stop.join();
  return sandboxes_.Stop(id);
}

Result<> PodEngine::Remove(const SandboxId& id, bool force) {
  const SandboxPtr sandbox = engine_.store->Find(id);
  if (sandbox == nullptr) return {};
  if (sandbox->state == SandboxState::kReady) {
    if (!force) {
      return Error::Make(ErrorCode::kFailedPrecondition, "pod ", sandbox->spec.name,
                         " is running; stop it first, or remove it with --force");
    }
    RETURN_IF_ERROR(Stop(id, std::nullopt));
  }
  RETURN_IF_ERROR(sandboxes_.Remove(id));
  {
    const std::lock_guard lock(mutex_);
    workers_.erase(id);
    due_.erase(id);
  }
  if (sandbox->spec.owner != Owner::kPods) return {};
  return RemoveTree(AT_FDCWD, PodDirectory(sandbox->spec.uid));
}

PodView PodEngine::ViewOf(const SandboxPtr& sandbox) const {
  PodView view;
  view.sandbox = sandbox;
  RestartPolicy policy = RestartPolicy::kNever;
  std::vector<std::string> names;
  if (const WorkerPtr worker = FindWorker(sandbox->id)) {
    policy = worker->manifest.restart_policy;
    for (const PodContainer& container : worker->manifest.containers) names.push_back(container.spec.name);
  } else {
    std::set<std::string> found;
    for (const ContainerPtr& container : engine_.store->ContainersOf(sandbox->id)) found.insert(container->spec.name);
    names.assign(found.begin(), found.end());
  }
  const bool ready = sandbox->state == SandboxState::kReady;
  for (const std::string& name : names) {
    ContainerView& container = view.containers.emplace_back();
    container.name = name;
    container.newest = Newest(*engine_.store, sandbox->id, name);
    if (container.newest == nullptr) continue;
    container.restarts = container.newest->spec.attempt;
    container.waits_for_restart = ready && container.newest->state == ContainerState::kExited &&
                                  ShouldRestart(policy, container.newest->exit_code);
  }
  view.phase = PhaseOf(policy, ready, view.containers);
  return view;
}

std::vector<PodView> PodEngine::List(bool all) const {
  std::vector<PodView> views;
  for (const SandboxPtr& sandbox : engine_.store->Sandboxes()) {
    if (sandbox->state == SandboxState::kCreating) continue;
    if (all || sandbox->spec.owner == Owner::kPods) views.push_back(ViewOf(sandbox));
  }
  std::sort(views.begin(), views.end(),
            [](const PodView& a, const PodView& b) { return a.sandbox->created_at_ns < b.sandbox->created_at_ns; });
  return views;
}

Result<PodView> PodEngine::View(const SandboxId& id) const {
  const SandboxPtr sandbox = engine_.store->Find(id);
  if (sandbox == nullptr) return Error::Make(ErrorCode::kNotFound, "pod ", id.str(), " does not exist");
  return ViewOf(sandbox);
}

}  // namespace fermata::sandbox::pods
