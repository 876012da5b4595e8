// What is asked of a sandbox or a container, and what is known of one. Plain values in the words of the CRI,
// without its wire format; cri/ and sandbox/pods fill the specs in.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cgroups/settings.h"
#include "runtime/spec/spec.h"

namespace fermata::sandbox {

// An id that cannot be taken for one of another kind. 64 lower-case hex digits.
template <typename Kind>
class Id {
 public:
  Id() = default;
  explicit Id(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] const std::string& str() const { return text_; }
  auto operator<=>(const Id&) const = default;

 private:
  std::string text_;
};
using SandboxId = Id<struct SandboxKind>;
using ContainerId = Id<struct ContainerKind>;

// Whose it is: those of kPods are never shown to the CRI (kubelet would kill them).
enum class Owner : uint8_t { kCri, kPods };

enum class NamespaceMode : uint8_t { kPod, kContainer, kNode, kTarget };
struct NamespaceOptions {
  NamespaceMode network = NamespaceMode::kPod;
  NamespaceMode pid = NamespaceMode::kPod;
  NamespaceMode ipc = NamespaceMode::kPod;
  std::string target_id;  // kTarget: the container whose PID namespace is joined
  // Of a user namespace of the sandbox's own, which owns the others; empty: the host's. A container has its sandbox's.
  runtime::IdMappings uids, gids;
  [[nodiscard]] bool has_user() const { return !uids.empty(); }
};

struct DnsConfig {
  std::vector<std::string> servers, searches, options;
};

struct PortMapping {
  int protocol = 0;  // 0 TCP, 1 UDP, 2 SCTP
  int container_port = 0;
  int host_port = 0;
  std::string host_ip;
};

struct SandboxSpec {
  Owner owner = Owner::kCri;
  std::string name, uid, name_space;
  uint32_t attempt = 0;
  std::string hostname, log_directory, cgroup_parent, runtime_handler;
  DnsConfig dns;
  std::vector<PortMapping> port_mappings;
  std::map<std::string, std::string> labels, annotations, sysctls;
  std::map<std::string, std::vector<std::string>> host_aliases;  // IP to names, for /etc/hosts
  NamespaceOptions namespaces;
  bool privileged = false;
  uint64_t shm_bytes = uint64_t{64} << 20;
  cgroups::Resources overhead, resources;  // of the pod as a whole; see UpdateSandbox
  // Owner kPods: the manifest it was made from, and which document of it; the pod engine goes on from here.
  std::string manifest;
  uint32_t manifest_index = 0;
  bool manifest_allow_ignored = false;
  std::string fqdn;  // of the pod for /etc/hosts, besides its host name; may be empty
};

enum class Propagation : uint8_t { kPrivate, kHostToContainer, kBidirectional };
struct ContainerMount {
  std::string container_path, host_path;
  std::string sub_path;  // below host_path, with no way out of it; made as a directory if missing
  bool readonly = false;
  bool recursive_readonly = false;
  bool selinux_relabel = false;
  Propagation propagation = Propagation::kPrivate;
  runtime::IdMappings uids, gids;  // of an idmapped mount; empty: as it is on the host
  // Instead of `host_path`: an image as asked (id, tag or digest), and what of it (empty: the whole).
  std::string image, image_sub_path;
  std::string image_id;              // what `image` meant when the container was made
  std::vector<std::string> options;  // of noexec, nodev, nosuid
};

struct DeviceRequest {
  std::string container_path, host_path, permissions;
};

enum class SeccompMode : uint8_t { kRuntimeDefault, kUnconfined, kLocalhost };

struct SecurityContext {
  bool privileged = false;
  NamespaceOptions namespaces;
  std::vector<std::string> add_capabilities, drop_capabilities, add_ambient_capabilities;
  std::optional<int64_t> run_as_user, run_as_group;
  std::string run_as_username;
  std::vector<int64_t> supplemental_groups;
  bool strict_groups = false;  // without the groups of the image's /etc/group
  bool readonly_rootfs = false;
  bool no_new_privileges = false;
  std::vector<std::string> masked_paths, readonly_paths;
  SeccompMode seccomp = SeccompMode::kUnconfined;
  std::string seccomp_profile;  // kLocalhost: absolute path
};

struct ContainerSpec {
  std::string name;
  uint32_t attempt = 0;
  std::string image;  // as asked: id, tag or digest
  std::string user_specified_image;
  std::map<std::string, std::string> image_annotations;
  std::vector<std::string> command, args, env;  // env: NAME=value
  std::string working_dir, log_path;
  std::vector<ContainerMount> mounts;
  std::vector<DeviceRequest> devices;
  std::map<std::string, std::string> labels, annotations;
  bool want_stdin = false;
  bool stdin_once = false;
  bool tty = false;
  int stop_signal = 0;  // 0: the image's, else SIGTERM
  std::optional<int> oom_score_adj;
  cgroups::Resources resources;
  SecurityContext security;
  // Owner kPods: what its next start waits for after its exit, and when the instance before it ended.
  int64_t restart_delay_ns = 0, previous_finished_at_ns = 0;
};

// Owner kPods: what the pod engine has seen of an instance, for the next daemon.
struct PodMarks {
  bool post_started = false;  // its hook has run, if it has one
  bool started = false, ready = false;
  int64_t killed_at_ns = 0;  // by a probe; 0: it was not
};

enum class SandboxState : uint8_t {
  kCreating,  // an intent: never shown; what a crash leaves so is undone
  kReady,
  kNotReady,
};

// What is known of a sandbox. Immutable once published.
struct SandboxRecord {
  SandboxId id;
  SandboxSpec spec;
  SandboxState state = SandboxState::kCreating;
  int64_t created_at_ns = 0;
  int pause_pid = 0;
  bool shares_ptrace = false;  // a container of it may hold CAP_SYS_PTRACE: enter in two stages
  std::vector<std::string> ips;
  std::string group;             // of pause, below the cgroup2 mount
  std::string containers_group;  // parent of the containers' groups
  std::string boot_id;
  std::string reason;  // owner kPods: why it was ended before its time; DeadlineExceeded
};
using SandboxPtr = std::shared_ptr<const SandboxRecord>;

enum class ContainerState : uint8_t { kCreated, kRunning, kExited, kUnknown };

struct ContainerRecord {
  ContainerId id;
  SandboxId sandbox;
  ContainerSpec spec;
  ContainerState state = ContainerState::kCreated;
  int64_t created_at_ns = 0, started_at_ns = 0, finished_at_ns = 0;
  int exit_code = 0;
  int pid = 0;
  std::string reason, message;  // Completed, Error, OOMKilled, StartError, Unknown, MonitorLost
  std::string image_id, image_ref;
  int stop_signal = 15;  // the effective one
  runtime::Spec launch;  // as it is run; the exec's defaults too
  std::string group;
  std::string log_path;  // absolute; empty: no log
  PodMarks marks;
};
using ContainerPtr = std::shared_ptr<const ContainerRecord>;

}  // namespace fermata::sandbox
