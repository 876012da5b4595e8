// A pod made anew from the manifest that its record has.
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
  PodManifest manifest = worker->manifest;
  manifest.sandbox.attempt = spec.attempt + 1;
  RETURN_IF_ERROR(CheckClaims(engine_, manifest), "pod ", spec.name);
  ASSIGN_OR_RETURN(const std::vector<EarlyEvent> pulls, PullImages(manifest, cancellation));
  RETURN_IF_ERROR(Stop(id, grace));
  const ApplyRequest request{spec.manifest, "recorded manifest", spec.manifest_allow_ignored};
  auto fresh = ApplyOne(manifest, request, spec.manifest_index, pulls);
  if (!fresh) {
    Tell(id, {EventType::kWarning, "FailedCreatePodSandBox", "Starting it again: " + fresh.error().message(), ""});
    return std::move(fresh).error().Wrap("pod ", spec.name, " has stopped and cannot be started again");
  }
  if (auto removed = Remove(id, true); !removed) log::warn("{}", removed.error().message());
  return fresh;
}

}  // namespace fermata::sandbox::pods
