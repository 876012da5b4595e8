// Pod YAML to plain structs: the reader of manifests. Pure, no state, any thread.
//
// Strict where Kubernetes' API server is strict with fieldValidation=Strict: an unknown, misplaced or repeated field
// is an error, and so is a value of the wrong type. A field that Kubernetes knows and this engine does not honour
// yet is an error as well, unless its value says what happens anyway or the caller allows to ignore it: a manifest
// never loses meaning silently. The exceptions are `status` and the informational ports. A null is an absent field.
//
// All errors of a file come in one, a line each in the order of their lines: kInvalidArgument, or kUnimplemented when
// all are of what is not supported yet. Each begins with the place: "pod.yaml:12: spec.containers[0].tty: not supported
// yet". No value of a Secret stands in one.
//
// Kinds: Pod; ConfigMap, Secret and PersistentVolumeClaim, which pods of the same file refer to; Deployment,
// ReplicaSet, StatefulSet, DaemonSet and Job, which become pods NAME-0 and on; List of all these.
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
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/probe/probe_spec.h"
#include "sandbox/types.h"

namespace fermata::sandbox::pods {

inline constexpr size_t kMaxManifestBytes = size_t{4} << 20;

// A value that need not be written where it is used. It may be a secret: never in an error or a log.
struct ValueSource {
  enum class Kind : uint8_t { kText, kField, kResource } kind = Kind::kText;
  std::string text;                 // kText: as written, or out of a ConfigMap or Secret
  std::string field, key;           // kField: "status.podIP"; "metadata.labels" with a key or, for all, without
  std::string container, resource;  // kResource: "limits.cpu" of a container of the pod
  int64_t divisor = 1;              // kResource: of thousandths of a CPU, of bytes
};

struct EnvVariable {
  std::string name;
  ValueSource value;
  bool expand = false;  // $(VAR) in it
};

struct ResourceAmounts {
  std::optional<int64_t> milli_cpu, memory_bytes;
};

// A ConfigMap or a Secret, its values decoded.
struct ConfigObject {
  std::string type;  // of a Secret
  std::map<std::string, std::string> data;
};

struct VolumeFile {
  std::string path;  // below the volume, without ".."
  ValueSource value;
  std::optional<uint32_t> mode;
};

enum class PullPolicy : uint8_t { kDefault, kAlways, kIfNotPresent, kNever };

struct PodVolume {
  std::string name;
  // kFiles: of ConfigMaps, Secrets and the downward API; containers only read them. kClaim: a local volume with a name,
  // which outlives the pod.
  // kImage: the files of an image, read-only.
  enum class Kind : uint8_t { kEmptyDir, kHostPath, kFiles, kClaim, kImage } kind = Kind::kEmptyDir;
  std::string host_path;
  // "" (no check), DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice or BlockDevice
  std::string host_path_type;
  bool memory = false;                 // kEmptyDir: a tmpfs
  std::optional<int64_t> limit_bytes;  // of the tmpfs
  std::vector<VolumeFile> files;       // kFiles
  uint32_t default_mode = 0644;
  std::string claim;
  bool claim_declared = false;  // the file has the claim; else the volume has to be there
  bool readonly = false;        // kClaim
  std::string image;
  PullPolicy pull_policy = PullPolicy::kDefault;
};

struct VolumeMount {
  std::string volume, mount_path;
  bool readonly = false;
  bool recursive_readonly = false;
  Propagation propagation = Propagation::kPrivate;
  std::string sub_path;          // below the volume, no way out of it
  bool expand_sub_path = false;  // $(VAR) in it
};

enum class RestartPolicy : uint8_t { kAlways, kOnFailure, kNever };

struct PodContainer {
  // Without mounts: the engine makes them from volume_mounts and the pod's volumes. Empty masked paths and
  // capability lists mean the engine's defaults. Variables, command and arguments as they are before the pod runs:
  // what depends on it is empty; FillProcess (manifest_values.h) makes them.
  sandbox::ContainerSpec spec;
  std::vector<EnvVariable> env;            // those of envFrom first
  std::vector<std::string> command, args;  // as written
  ResourceAmounts requests, limits;
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
  std::optional<int64_t> restart_limit;  // of all its containers together, a Job's; then the policy is Never
  std::optional<std::chrono::seconds> active_deadline;  // from the pod's beginning
  DnsConfig dns_addition;                               // to the host's resolv.conf, where sandbox.dns is empty
  std::vector<std::string> pull_auths;                  // secrets: credentials for registries, in docker's form
  bool share_process_namespace = false;
  std::optional<int64_t> fs_group;
  bool fs_group_on_mismatch = false;  // claims only where the root of the volume has another group
};

struct ManifestOptions {
  bool allow_ignored = false;                   // what is not honoured is left out
  std::vector<std::string>* ignored = nullptr;  // gets what was left out, with its place
};

// All pods of all documents, at least one; empty documents are skipped. `file_name` is for the errors only.
Result<std::vector<PodManifest>> ParseManifest(std::string_view yaml, const std::string& file_name,
                                               const ManifestOptions& options = {});

}  // namespace fermata::sandbox::pods
