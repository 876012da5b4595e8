// Whoever answers for the system calls that a filter holds with SCMP_ACT_NOTIFY: a socket named by the container's
// specification gets the listener of each process, with the container's state. One thread.
// Source: runtime-spec config-linux.md, "Seccomp", "The Container Process State"; seccomp_unotify(2).
#pragma once

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/oci/state_store.h"

namespace fermata::runtime::oci {

// The way of the listener out of the new process: Attendance::listener and what the plan is given.
struct ListenerSocket {
  UniqueFd ours, theirs;
};
Result<ListenerSocket> MakeListenerSocket();

// `pid` is the process that has the filter: the container's first one, or an exec's.
Result<> HandOnListener(const ContainerState& state, Status status, pid_t pid, const UniqueFd& listener);

}  // namespace fermata::runtime::oci
