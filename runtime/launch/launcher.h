// Launch: the process of a plan, made by a single-threaded program: the monitor, or the OCI command line.
// Whoever launches is its parent and reaps it.
#pragma once

#include <sys/types.h>

#include <span>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/launch/plan_format.h"

namespace fermata::runtime {

// What a launch needs besides the plan; the descriptors stay the caller's. -1: not given.
struct LaunchFds {
  int standard[3] = {-1, -1, -1};   // become 0, 1, 2
  int cgroup = -1;                  // born in this group
  int join = -1;                    // pidfd for kJoinSlot
  int pid_join = -1;                // pidfd or PID namespace, for kPidSlot and the namespace to be born in
  int program = -1;                 // pause's sealed program
  int own_pid_ns = -1;              // the launcher's own PID namespace, to come back to
  int pod_user_ns = -1;             // for plans that ask for the pod's
  std::span<const int> given = {};  // header().given_count of them
};

struct LaunchedProcess {
  pid_t pid = -1;
  UniqueFd pidfd;
  UniqueFd report;                        // non-blocking; see ReadReport
  std::vector<UniqueFd> user_namespaces;  // those made, in the plan's order
};

// On failure no process is left.
Result<LaunchedProcess> Launch(const PlanView& plan, const LaunchFds& fds);

// Whether proc can be mounted of a PID namespace that the mounter is not in (Linux 6.17); found by trying.
bool TakesPidNamespaceOfProc();

enum class Report : uint8_t {
  kNothing,  // not yet
  kStage,    // message.error is the pid of the process from now on
  kGate,     // it waits at a kGate
  kFailed,   // message says where
  kClosed,   // the program runs, or the report has gone to another descriptor
};
// The next message of the process's report.
Report ReadReport(int report, ChildFailure& message);

}  // namespace fermata::runtime
