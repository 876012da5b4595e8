// A pod in the place of another one of its name: of the manifest that its record has, or of a new one.
#include "runtime/base/log.h"
#include "sandbox/pods/pod_engine.h"
#include "sandbox/pods/pod_volumes.h"

namespace fermata::sandbox::pods {

Result<SandboxId> PodEngine::Restart(const SandboxId& id, std::optional<std::chrono::seconds> grace,
                                     const std::shared_ptr<const overlay::Cancellation>& cancellation) {
  const SandboxPtr sandbox = engine_.store->Find(id);
  if (sandbox == nullptr) return Error::Make(ErrorCode::kNotFound, "pod ", id.str(), " does not exist");
  const SandboxSpec& spec = sandbox->spec;
  if (spec.owner != Owner::kPods) {
    return Error::Make(ErrorCode::kFailedPrecondition, "pod ", spec.name,
                       " is not of a manifest: who made it by the CRI (kubelet, crictl) has to start it again");
  }
  const WorkerPtr worker = FindWorker(id);
  if (worker == nullptr) {
    return Error::Make(ErrorCode::kFailedPrecondition, "the recorded manifest of pod ", spec.name,
                       " cannot be read; remove the pod with fermata rm, then run its file again");
  }
  NameHold names(*this);
  RETURN_IF_ERROR(names.Take(spec));
  const PodManifest& manifest = worker->manifest;
  RETURN_IF_ERROR(CheckClaims(engine_, manifest), "pod ", spec.name);
  ASSIGN_OR_RETURN(const std::vector<EarlyEvent> pulls, PullImages(manifest, cancellation));
  const ApplyRequest request{spec.manifest, "recorded manifest", spec.manifest_allow_ignored};
  return ReplaceOne(*sandbox, {manifest, request, spec.manifest_index, grace}, pulls);
}

Result<SandboxId> PodEngine::ReplaceOne(const SandboxRecord& old, const Replacement& fresh,
                                        const std::vector<EarlyEvent>& before) {
  RETURN_IF_ERROR(Stop(old.id, fresh.grace));
  PodManifest manifest = fresh.manifest;
  manifest.sandbox.attempt = old.spec.attempt + 1;
  auto id = ApplyOne(manifest, fresh.request, fresh.index, before);
  if (!id) {
    Tell(old.id, {EventType::kWarning, "FailedCreatePodSandBox", "Starting it again: " + id.error().message(), ""});
    return std::move(id).error().Wrap("pod ", old.spec.name, " has stopped and cannot be started again");
  }
  if (auto removed = Remove(old.id, true); !removed) log::warn("{}", removed.error().message());
  return id;
}

SandboxPtr PodEngine::FindNamed(const SandboxSpec& wanted) const {
  for (const SandboxPtr& other : engine_.store->Sandboxes()) {
    const SandboxSpec& spec = other->spec;
    if (spec.owner != Owner::kPods || other->state == SandboxState::kCreating) continue;
    if (spec.name == wanted.name && spec.name_space == wanted.name_space) return other;
  }
  return nullptr;
}

Result<PodChange> PodEngine::PlanOne(const ApplyRequest& request, const PodManifest& pod) const {
  PodChange change;
  const std::string& name = pod.sandbox.name;
  const SandboxPtr old = FindNamed(pod.sandbox);
  if (old == nullptr) return change;
  if (request.existing == Existing::kRefuse) {
    return Error::Make(ErrorCode::kAlreadyExists, "pod ", name, " exists already (", ViewOf(old).phase,
                       "); remove it with: fermata rm ", name, "; or put this one in its place with --replace");
  }
  change.id = old->id;
  change.action = PodChange::Action::kReplaced;
  ASSIGN_OR_RETURN(change.fields, DiffManifests(old->spec.manifest, request.manifest, name));
  if (request.existing == Existing::kReplace) return change;
  // What ran when the machine went down is to run again.
  const bool lost = old->state != SandboxState::kReady && old->boot_id != engine_.boot_id;
  if (change.fields.empty() && lost && ViewOf(old).phase != "Succeeded") return change;
  if (change.fields.empty()) {
    change.action = PodChange::Action::kUnchanged;
  } else if (request.existing == Existing::kKeep) {
    std::string fields;
    for (const FieldDifference& field : change.fields)
      fields += "\n  " + field.path + ": " + field.before + " -> " + field.after;
    return Error::Make(
        ErrorCode::kFailedPrecondition, "pod ", name,
        " is there, and this cannot change while it runs; --replace stops it and starts it anew:", fields);
  }
  return change;
}

Result<std::vector<PodChange>> PodEngine::PlanChanges(const ApplyRequest& request,
                                                      const std::vector<PodManifest>& pods) const {
  std::vector<PodChange> changes;
  for (const PodManifest& pod : pods) {
    ASSIGN_OR_RETURN(PodChange change, PlanOne(request, pod));
    RETURN_IF_ERROR(CheckClaims(engine_, pod), "pod ", pod.sandbox.name);
    changes.push_back(std::move(change));
  }
  return changes;
}

Result<PodEngine::Planned> PodEngine::Check(const ApplyRequest& request, std::vector<std::string>& ignored) const {
  Planned planned;
  ASSIGN_OR_RETURN(planned.pods, ParseManifest(request.manifest, request.file_name, {request.allow_ignored, &ignored}));
  ASSIGN_OR_RETURN(planned.changes, PlanChanges(request, planned.pods));
  return planned;
}

}  // namespace fermata::sandbox::pods
