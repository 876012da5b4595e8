// A pod from its manifest to its first containers.
#include <fcntl.h>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/random_id.h"
#include "sandbox/pods/pod_engine.h"
#include "sandbox/pods/pod_facts.h"
#include "sandbox/pods/pod_images.h"
#include "sandbox/pods/pod_volumes.h"

namespace fermata::sandbox::pods {
namespace {

// In the form of a UUID, as kubelet's: it stands in paths and annotations that people read.
Result<std::string> NewUid() {
  ASSIGN_OR_RETURN(std::string hex, RandomId());
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-4" + hex.substr(13, 3) + "-a" + hex.substr(17, 3) + "-" +
         hex.substr(20, 12);
}

}  // namespace

// Its directory is there afterwards, its sandbox is not.
Result<SandboxSpec> PodEngine::PrepareOne(const PodManifest& manifest, const ApplyRequest& request, uint32_t index) {
  SandboxSpec spec = manifest.sandbox;
  ASSIGN_OR_RETURN(spec.uid, NewUid());
  spec.manifest = request.manifest;
  spec.manifest_index = index;
  spec.manifest_allow_ignored = request.allow_ignored;
  const DnsConfig& more = manifest.dns_addition;
  if (!more.servers.empty() || !more.searches.empty() || !more.options.empty()) {
    ASSIGN_OR_RETURN(const std::string hosts_own, ReadFileAt(AT_FDCWD, "/etc/resolv.conf"));
    spec.dns = AddedToHosts(hosts_own, more);
  }
  const std::string directory = PodDirectory(spec.uid);
  spec.log_directory = directory + "/logs";
  RETURN_IF_ERROR(MakeDirectories(AT_FDCWD, PodDirectory(""), 0700));  // secrets are below
  RETURN_IF_ERROR(MakeDirectories(AT_FDCWD, spec.log_directory));
  PodFacts facts = NodeFacts();
  facts.uid = spec.uid;
  if (auto prepared = PrepareVolumes({engine_, manifest, directory}, facts); !prepared) {
    RemoveDirectory(spec.uid);
    return std::move(prepared).error();
  }
  return spec;
}

void PodEngine::RemoveDirectory(const std::string& uid) {
  if (auto removed = RemovePodDirectory(PodDirectory(""), uid); !removed) {
    log::warn("remove pod {}: {}", uid, removed.error().message());
  }
}

Result<SandboxId> PodEngine::ApplyOne(const PodManifest& manifest, const ApplyRequest& request, uint32_t index,
                                      const std::vector<EarlyEvent>& before) {
  auto worker = std::make_shared<Worker>();
  worker->manifest = manifest;
  ASSIGN_OR_RETURN(const SandboxSpec spec, PrepareOne(manifest, request, index));
  auto id = sandboxes_.Run(spec);
  if (!id) {
    RemoveDirectory(spec.uid);
    return std::move(id).error();
  }
  worker->id = *id;
  for (const EarlyEvent& event : before) events_.Record(*id, spec, event.text, event.at_ns);
  const std::lock_guard sync(worker->mutex);  // until the first pass is done nobody else makes one
  {
    const std::lock_guard lock(mutex_);
    workers_[*id] = worker;
  }
  AddProbes(*worker);
  if (auto done = SyncContainers(worker); !done) {
    worker->stopping = true;
    {
      const std::lock_guard lock(mutex_);
      workers_.erase(*id);
    }
    prober_.RemovePod(*id);
    events_.Forget(*id);
    (void)sandboxes_.Remove(*id);
    RemoveDirectory(spec.uid);
    return std::move(done).error();
  }
  return *id;
}

PodEngine::NameHold::~NameHold() {
  const std::lock_guard lock(engine_.mutex_);
  for (const auto& name : taken_) engine_.held_names_.erase(name);
}

Result<> PodEngine::NameHold::Take(const SandboxSpec& pod) {
  const std::lock_guard lock(engine_.mutex_);
  if (!engine_.held_names_.insert({pod.name_space, pod.name}).second) {
    return Error::Make(ErrorCode::kFailedPrecondition, "pod ", pod.name,
                       " is being started or changed by another call; try again when that has ended");
  }
  taken_.emplace_back(pod.name_space, pod.name);
  return {};
}

Result<std::vector<PodEngine::EarlyEvent>> PodEngine::PullImages(
    const PodManifest& manifest, const std::shared_ptr<const overlay::Cancellation>& cancellation) {
  std::vector<EarlyEvent> events;
  RETURN_IF_ERROR(EnsureImages(engine_, manifest, cancellation, [&](EventText text) {
    events.push_back({std::move(text), NowNs()});
  }));
  return events;
}

Result<std::vector<PodChange>> PodEngine::Apply(const ApplyRequest& request,
                                                const std::shared_ptr<const overlay::Cancellation>& cancellation) {
  std::vector<std::string> ignored;
  ASSIGN_OR_RETURN(const std::vector<PodManifest> pods,
                   ParseManifest(request.manifest, request.file_name, {request.allow_ignored, &ignored}));
  NameHold names(*this);
  for (const PodManifest& pod : pods) RETURN_IF_ERROR(names.Take(pod.sandbox));
  ASSIGN_OR_RETURN(std::vector<PodChange> changes, PlanChanges(request, pods));
  std::vector<std::vector<EarlyEvent>> pulls(pods.size());
  for (size_t i = 0; i < pods.size(); ++i) {
    if (changes[i].action == PodChange::Action::kUnchanged) continue;
    ASSIGN_OR_RETURN(pulls[i], PullImages(pods[i], cancellation));
  }
  std::vector<SandboxId> added;
  for (uint32_t index = 0; index < pods.size(); ++index) {
    PodChange& change = changes[index];
    if (change.action == PodChange::Action::kUnchanged) continue;
    const SandboxPtr old = change.action == PodChange::Action::kReplaced ? engine_.store->Find(change.id) : nullptr;
    auto id = old == nullptr ? ApplyOne(pods[index], request, index, pulls[index])
                             : ReplaceOne(*old, {pods[index], request, index, std::nullopt}, pulls[index]);
    if (id) {
      change.id = *id;
      if (old == nullptr) added.push_back(*id);
      continue;
    }
    for (const SandboxId& made : added) (void)Remove(made, true);  // the first failure is what is told
    return std::move(id).error().Wrap("pod ", pods[index].sandbox.name);
  }
  return changes;
}

}  // namespace fermata::sandbox::pods
