// Pod YAML to plain structs: the reader of manifests. Pure, no state, any thread.
//
// Strict where Kubernetes' API server is strict with fieldValidation=Strict: an unknown, misplaced or repeated field
// is an error, and so is a value of the wrong type. A field that Kubernetes knows and this engine does not honour
// yet is an error as well, unless its value says what happens anyway: a manifest never loses meaning silently. The
// exceptions are `status` and the informational ports. A null is an absent field, as in Kubernetes.
//
// Errors are kInvalidArgument, or kUnimplemented for what is not supported yet, and begin with the place:
// "pod.yaml:12: spec.containers[0].envFrom: not supported yet".
//
// Kubernetes' semantics, but for these:
// - Without a seccompProfile a container gets RuntimeDefault, where kubelet by default leaves it unconfined: the
//   safer one; `type: Unconfined` asks for the other. Privileged containers are unconfined as everywhere.
// - Without an imagePullPolicy an image with the tag latest, or with none, is looked for in its registry as Kubernetes
//   does it, but when that does not answer, the one that is here serves. Names of the registry "localhost" are local.
// - A probe or hook that names a port which its container has not is an error; kubelet would try for ever.
// - Aliases and anchors are refused, and documents over 4 MiB, deeper than 32, or of over 100,000 values.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/probe/probe_spec.h"
#include "sandbox/types.h"

namespace fermata::sandbox::pods {

inline constexpr size_t kMaxManifestBytes = size_t{4} << 20;

struct PodVolume {
  std::string name;
  enum class Kind : uint8_t { kEmptyDir, kHostPath } kind = Kind::kEmptyDir;
  std::string host_path;
  // "" (no check), DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice or BlockDevice
  std::string host_path_type;
};

struct VolumeMount {
  std::string volume, mount_path;
  bool readonly = false;
};

enum class RestartPolicy : uint8_t { kAlways, kOnFailure, kNever };
enum class PullPolicy : uint8_t { kDefault, kAlways, kIfNotPresent, kNever };

struct PodContainer {
  // Without mounts: the engine makes them from volume_mounts and the pod's volumes. Empty masked paths and
  // capability lists mean the engine's defaults.
  sandbox::ContainerSpec spec;
  std::vector<VolumeMount> volume_mounts;  // no two at one path; each volume exists
  PullPolicy pull_policy = PullPolicy::kDefault;
  std::optional<RestartPolicy> restart_policy;  // unset: the pod's; kAlways makes an init container a sidecar
  probe::ContainerProbes probes;                // none for an init container that is no sidecar
};

struct PodManifest {
  sandbox::SandboxSpec sandbox;               // owner kPods; uid, log directory and cgroup parent are the engine's
  std::vector<PodContainer> init_containers;  // in the order in which they run
  std::vector<PodContainer> containers;
  std::vector<PodVolume> volumes;
  RestartPolicy restart_policy = RestartPolicy::kAlways;
  std::chrono::seconds termination_grace{30};
  bool share_process_namespace = false;
};

// All pods of all documents, at least one; empty documents are skipped. `file_name` is for the errors only.
Result<std::vector<PodManifest>> ParseManifest(std::string_view yaml, const std::string& file_name);

}  // namespace fermata::sandbox::pods
