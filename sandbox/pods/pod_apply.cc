// A pod from its manifest to its first containers.
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/base/file.h"
#include "runtime/base/random_id.h"
#include "sandbox/pods/host_path.h"
#include "sandbox/pods/pod_engine.h"
#include "sandbox/pods/pod_images.h"

namespace fermata::sandbox::pods {
namespace {

// In the form of a UUID, as kubelet's: it stands in paths and annotations that people read.
Result<std::string> NewUid() {
  ASSIGN_OR_RETURN(std::string hex, RandomId());
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-4" + hex.substr(13, 3) + "-a" + hex.substr(17, 3) + "-" +
         hex.substr(20, 12);
}

}  // namespace

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
  AddProbes(*worker);
  if (auto done = SyncContainers(worker); !done) {
    worker->stopping = true;
    {
      const std::lock_guard lock(mutex_);
      workers_.erase(*id);
    }
    prober_.RemovePod(*id);
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
    for (const auto* list : {&pod.init_containers, &pod.containers}) {
      for (const PodContainer& container : *list) {
        RETURN_IF_ERROR(EnsureImage(engine_, container, cancellation), "container ", container.spec.name);
      }
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

}  // namespace fermata::sandbox::pods
