#include "sandbox/pods/pod_engine.h"

#include <fcntl.h>

#include <algorithm>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/operation.h"
#include "sandbox/pods/pod_lookup.h"
#include "sandbox/pods/pod_volumes.h"

namespace fermata::sandbox::pods {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRetry = std::chrono::seconds(10);  // after what could not be made
constexpr int64_t kSecondNs = 1'000'000'000;

// What an earlier daemon has seen of the instance.
std::optional<probe::Verdict> Remembered(probe::ProbeType type, const PodMarks& marks) {
  const bool good = type == probe::ProbeType::kStartup ? marks.started : marks.ready;
  if (type == probe::ProbeType::kLiveness) {
    return marks.killed_at_ns != 0 ? std::optional(probe::Verdict::kFailure) : std::nullopt;
  }
  return good ? std::optional(probe::Verdict::kSuccess) : std::nullopt;
}

}  // namespace

const PodContainer* FindContainer(const PodManifest& manifest, const std::string& name) {
  for (const auto* list : {&manifest.init_containers, &manifest.containers}) {
    for (const PodContainer& container : *list) {
      if (container.spec.name == name) return &container;
    }
  }
  return nullptr;
}

ContainerKind KindOf(const PodManifest& manifest, const PodContainer& container) {
  const auto& init = manifest.init_containers;
  const bool is_init = std::ranges::any_of(init, [&](const PodContainer& c) { return &c == &container; });
  return is_init ? InitKind(container) : ContainerKind::kMain;
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

ContainerPtr Previous(const Store& store, const ContainerRecord& newest) {
  for (const ContainerPtr& container : store.ContainersOf(newest.sandbox)) {
    const ContainerSpec& spec = container->spec;
    if (spec.name == newest.spec.name && spec.attempt + 1 == newest.spec.attempt) return container;
  }
  return nullptr;
}

PodEngine::PodEngine(Engine& engine, SandboxManager& sandboxes, ContainerManager& containers, probe::GrpcCheck grpc)
    : engine_(engine),
      sandboxes_(sandboxes),
      containers_(containers),
      runner_(engine, containers, std::move(grpc)),
      events_(NowNs),
      prober_(
          {.run = [this](const probe::ProbeTarget& target, const probe::ProbeSpec& spec,
                         probe::ProbeDone done) { runner_.Run(target, spec, std::move(done)); },
           .look = [this](const probe::ProbeKey& key) { return Look(key); },
           .told = [this](const probe::ProbeKey& key, const probe::ProbeReport& report) { OnProbe(key, report); }}) {}

void PodEngine::Tell(const SandboxId& pod, EventText text) {
  if (const SandboxPtr sandbox = engine_.store->Find(pod)) events_.Record(pod, sandbox->spec, std::move(text));
}

std::string PodEngine::PodDirectory(const std::string& uid) const { return engine_.config.data_dir + "/pods/" + uid; }

void PodEngine::Start() {
  for (const SandboxPtr& sandbox : engine_.store->Sandboxes()) {
    if (sandbox->spec.owner != Owner::kPods) continue;
    auto manifests =
        ParseManifest(sandbox->spec.manifest, "recorded manifest", {sandbox->spec.manifest_allow_ignored, nullptr});
    if (!manifests || manifests->size() <= sandbox->spec.manifest_index) {
      log::error("pod {}: its recorded manifest cannot be read", sandbox->spec.name);
      continue;
    }
    auto worker = std::make_shared<Worker>();
    worker->id = sandbox->id;
    worker->manifest = std::move((*manifests)[sandbox->spec.manifest_index]);
    worker->stopping = sandbox->state != SandboxState::kReady;
    workers_[sandbox->id] = worker;
    if (!worker->stopping) AddProbes(*worker);
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
    RemoveDirectory(uid);
  }
}

void PodEngine::End() {
  prober_.End();
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
  Operation operation("SyncPod");
  const About about(About::What::kSandbox, worker->id.str());
  const SandboxSpec& pod = worker->manifest.sandbox;
  const About about_pod(About::What::kPod, pod.name_space + "/" + pod.name);
  {
    const std::lock_guard lock(worker->mutex);
    if (!worker->stopping && !engine_.ending) {
      if (auto done = SyncContainers(worker); !done) {
        log::warn("pod {}: {}", worker->manifest.sandbox.name, done.error().message());
        Wake(worker->id, Clock::now() + kRetry);
      }
    }
  }
  const std::lock_guard lock(mutex_);
  syncing_.erase(worker->id);
  woken_.notify_all();
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
  prober_.RemovePod(id);
  {
    const std::lock_guard lock(mutex_);
    workers_.erase(id);
    due_.erase(id);
  }
  events_.Forget(id);
  changes_.Notify();  // who watches it is told that it has gone
  if (sandbox->spec.owner != Owner::kPods) return {};
  return RemovePodDirectory(PodDirectory(""), sandbox->spec.uid);
}

probe::ContainerFacts PodEngine::Look(const probe::ProbeKey& key) const {
  probe::ContainerFacts facts;
  const SandboxPtr sandbox = engine_.store->Find(key.pod);
  const WorkerPtr worker = FindWorker(key.pod);
  if (sandbox == nullptr || worker == nullptr || sandbox->state != SandboxState::kReady) {
    facts.pod_over = true;
    return facts;
  }
  facts.pod_deleted = worker->stopping;
  const ContainerPtr newest = Newest(*engine_.store, key.pod, key.container);
  const PodContainer* const container = FindContainer(worker->manifest, key.container);
  // As kubelet's, the probes see a container only when its hook has run.
  const bool hooked = newest != nullptr && (!container->probes.post_start || newest->marks.post_started);
  if (newest == nullptr || newest->state == ContainerState::kCreated || !hooked) return facts;
  facts.container_id = newest->id.str();
  facts.running = newest->state == ContainerState::kRunning;
  const ContainerKind kind = KindOf(worker->manifest, *container);
  facts.will_restart = PolicyNow(*worker, *container, kind) != RestartPolicy::kNever;
  facts.running_for = std::chrono::nanoseconds(NowNs() - newest->started_at_ns / kSecondNs * kSecondNs);
  facts.remembered = Remembered(key.type, newest->marks);
  return facts;
}

void PodEngine::FillView(const SandboxPtr& sandbox, const Worker* worker, const PodContainer& container,
                         ContainerView& view) const {
  view.name = container.spec.name;
  if (worker != nullptr) {
    view.kind = KindOf(worker->manifest, container);
    view.policy = PolicyNow(*worker, container, view.kind);
  }
  view.newest = Newest(*engine_.store, sandbox->id, view.name);
  if (view.newest == nullptr) return;
  const ContainerRecord& record = *view.newest;
  view.previous = Previous(*engine_.store, record);
  view.restarts = record.spec.attempt;
  const bool exited = record.state == ContainerState::kExited;
  view.waits_for_restart = sandbox->state == SandboxState::kReady && exited && ShouldRestart(view.policy, record);
  if (view.kind == ContainerKind::kInit) {
    view.ready = exited && record.exit_code == 0;
    return;
  }
  const auto believed = [&](probe::ProbeType type, bool marked) {
    if (!container.probes.Of(type)) return true;
    const auto result = prober_.ResultOf({sandbox->id, view.name, type}, record.id);
    return result ? *result == probe::Verdict::kSuccess : marked;
  };
  if (record.state != ContainerState::kRunning) return;
  if (container.probes.post_start && !record.marks.post_started) return;
  view.started = believed(probe::ProbeType::kStartup, record.marks.started);
  view.ready = view.started && believed(probe::ProbeType::kReadiness, record.marks.ready);
}

PodView PodEngine::ViewOf(const SandboxPtr& sandbox) const {
  PodView view;
  view.sandbox = sandbox;
  if (const WorkerPtr worker = FindWorker(sandbox->id)) {
    for (const PodContainer& container : worker->manifest.init_containers) {
      FillView(sandbox, worker.get(), container, view.init_containers.emplace_back());
    }
    for (const PodContainer& container : worker->manifest.containers) {
      FillView(sandbox, worker.get(), container, view.containers.emplace_back());
    }
  } else {
    std::set<std::string> names;
    for (const ContainerPtr& container : engine_.store->ContainersOf(sandbox->id)) names.insert(container->spec.name);
    for (const std::string& name : names) {
      PodContainer plain;
      plain.spec.name = name;
      FillView(sandbox, nullptr, plain, view.containers.emplace_back());
    }
  }
  const bool ready = sandbox->state == SandboxState::kReady;
  view.phase = PhaseOf(view, ready);
  view.conditions = ConditionsOf(view, ready);
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

std::shared_ptr<const PodManifest> PodEngine::ManifestOf(const SandboxId& id) const {
  const WorkerPtr worker = FindWorker(id);
  return worker == nullptr ? nullptr : std::shared_ptr<const PodManifest>(worker, &worker->manifest);
}

Result<PodView> PodEngine::View(const SandboxId& id) const {
  const SandboxPtr sandbox = engine_.store->Find(id);
  if (sandbox == nullptr) return Error::Make(ErrorCode::kNotFound, "pod ", id.str(), " does not exist");
  return ViewOf(sandbox);
}

}  // namespace fermata::sandbox::pods
