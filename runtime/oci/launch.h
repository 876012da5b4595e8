// What create, run and exec have in common: a plan, its descriptors, and the wait until the process is up. One thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/base/pidfd.h"
#include "runtime/base/result.h"
#include "runtime/launch/launch_plan.h"
#include "runtime/launch/launcher.h"
#include "runtime/launch/seccomp.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime::oci {

struct StartedProcess {
  pid_t pid = -1;
  Pidfd pidfd;
};

// What is done for a process on its way; the descriptors stay the caller's.
struct Attendance {
  int gate = -1;                                                            // where the process waits for a byte
  std::function<Result<>(const StartedProcess&)> at_gate;                   // before it gets that
  int listener = -1;                                                        // socket that the seccomp listener comes by
  std::function<Result<>(const StartedProcess&, const UniqueFd&)> hand_on;  // at once: it may wait for an answer now
};

// Launches and waits until the program runs or waits for its start. When it fails no process is left, and the error
// says which step it was, in the words of runc where others read them.
Result<StartedProcess> LaunchAndWait(const LaunchPlan& plan, const LaunchFds& fds, const Attendance& attendance);

// The error of a process that failed at a step of `steps` (Lines() of its plan, and what it executes).
Error StepError(const std::vector<std::string>& steps, const ChildFailure& failure);
std::vector<std::string> StepsOf(const LaunchPlan& plan);

// nullptr without a profile.
Result<SeccompFilter> FilterOf(const Spec& spec);

// Where the terminal of a process goes, if it has one: to a socket of the caller's (--console-socket), or to us.
struct Console {
  UniqueFd ours;    // a socket that receives the terminal; invalid with a socket of the caller's
  UniqueFd theirs;  // what the process sends it to
};
Result<Console> MakeConsole(const std::string& socket_path, bool detach);

// Writes the pid, in decimal, to a file that is replaced.
Result<> WritePidFile(const std::string& path, pid_t pid);
// The descriptors from 3 on that the caller hands in.
Result<> CheckPreserved(size_t count);

}  // namespace fermata::runtime::oci
