// What has to be decided about a pause process, a container's first process or an exec, and the plan for it.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/launch/launch_plan.h"
#include "runtime/launch/mounts.h"
#include "runtime/launch/namespaces.h"
#include "runtime/launch/seccomp.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime {

// The pod's shared namespaces and what pause sets up in them.
struct PauseLaunch {
  uint64_t new_namespaces = 0;  // of CLONE_NEWNET, NEWIPC, NEWUTS, NEWPID; a mount namespace always
  std::string hostname;         // set if there is a new UTS namespace
  uint64_t shm_bytes = uint64_t{64} << 20;
  std::map<std::string, std::string> sysctls;  // by name with dots, checked by the caller
  int oom_score_adj = 0;
  std::optional<UserMappings> user;  // the pod's user namespace, which owns the others
};
Result<LaunchPlan> PlanPause(const PauseLaunch& launch);

enum class PidNamespace : uint8_t {
  kOwn,   // the container's own
  kJoin,  // that of the join process
  kHost,  // the monitor's
};

struct ContainerLaunch {
  Spec spec;                             // with a terminal: the launcher gives a socket that takes it
  std::optional<OverlayRootfs> overlay;  // else spec.root_path is bind-mounted
  ImageTrees images;                     // what mounts of type "image" show
  uint64_t join_namespaces = 0;          // of the pause process, besides its mount namespace
  PidNamespace pid = PidNamespace::kJoin;
  bool pod_shm = true;               // /dev/shm is the pod's; else the host's
  bool host_network = false;         // the pod's network is the host's: with a user namespace no sysfs can be mounted
  bool refuse_proc = false;          // sources of bind mounts may not be parts of a procfs
  bool make_sources = false;         // sources of bind mounts that are missing are made, as directories
  std::optional<UserMappings> user;  // the pod's user namespace
  // The PID namespace holds or may hold a process with CAP_SYS_PTRACE: enter it without the host's rights.
  bool two_stages = false;
  SeccompFilter seccomp;  // nullptr: unconfined
};
Result<LaunchPlan> PlanContainer(const ContainerLaunch& launch);

struct ExecLaunch {
  Process process;
  uint64_t join_namespaces = 0;  // of the container, besides mount and cgroup
  PidNamespace pid = PidNamespace::kJoin;
  bool two_stages = false;
  std::optional<Personality> personality;  // the container's
  std::optional<UserMappings> user;        // the container's user namespace
  bool host_cgroup = false;                // the container has no cgroup namespace of its own
  // Descriptors that the launcher gives, in this order.
  bool console = false;   // socket that takes the new terminal
  bool listener = false;  // socket that takes the seccomp listener
  size_t preserved = 0;   // the program's from 3 on
  SeccompFilter seccomp;
};
Result<LaunchPlan> PlanExec(const ExecLaunch& launch);

// Checks what PlanContainer would refuse in `process` (capability names, rlimits, arguments).
Result<> CheckProcess(const Process& process);

}  // namespace fermata::runtime
