// Spawn: how the threaded daemon starts a program (monitor, CNI plugin, helper). Any thread.
//
// clone3(CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_INTO_CGROUP), then exec: the child is born in
// its control group (moving it later would wait for an RCU grace period) and nothing of the daemon
// is copied. The child gets: its own session, all signals default and unblocked, cwd "/", exactly the
// descriptors listed, and the environment given, nothing else.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/base/pidfd.h"
#include "runtime/base/result.h"

namespace fermata {

struct SpawnOptions {
  int executable_fd = -1;                // a descriptor to execute (memfd), or
  std::string executable;                // an absolute path
  std::vector<std::string> arguments;    // with argv[0]
  std::vector<std::string> environment;  // "NAME=value"
  std::vector<std::pair<int, int>> fds;  // {ours, number in the child}; numbers ascending from 0
  int cgroup_fd = -1;                    // >= 0: born there
  bool new_pid_namespace = false;        // born as PID 1 of one: sees and signals no other process
};

struct SpawnedProcess {
  pid_t pid = -1;
  Pidfd pidfd;
};

// The caller owns the process and has to reap it (waitid with P_PIDFD).
// Fails when the program cannot be executed: then no process is left.
Result<SpawnedProcess> Spawn(const SpawnOptions& options);

// Reaps a process of Spawn that has ended or is about to; gives its exit code, 128+n for signal n.
Result<int> Reap(const Pidfd& pidfd);

}  // namespace fermata
