// clone3(2): the only clone or fork in the tree. base/spawn uses the vfork-like form, the monitor both.
#pragma once

#include <linux/sched.h>
#include <sys/types.h>

#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata {

struct CloneOptions {
  uint64_t flags = 0;  // CLONE_NEW*, CLONE_CLEAR_SIGHAND, ...; CLONE_PIDFD is always added
  int cgroup_fd = -1;  // >= 0: born in this control group (CLONE_INTO_CGROUP)
};

struct ClonedProcess {
  pid_t pid = -1;  // 0 in the child of ClonePlain
  UniqueFd pidfd;
};

// Like fork: returns twice, memory is copied on write. Only for single-threaded programs.
// ENOMEM when the target PID namespace's init is dead, EBUSY when the group has domain controllers
// enabled for its children, ENOENT when the group was removed.
Result<ClonedProcess> ClonePlain(const CloneOptions& options);

// Like vfork: the child runs `run(argument)` on `stack` in the caller's memory, and the caller sleeps
// until the child has executed a program or ended. `run` may make async-signal-safe calls only and
// must not return before exec unless it means to exit with that status. All signals must be blocked.
Result<ClonedProcess> CloneVfork(const CloneOptions& options, void* stack, size_t stack_bytes, int (*run)(void*),
                                 void* argument);

}  // namespace fermata
