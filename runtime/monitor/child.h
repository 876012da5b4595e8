// Child: one process that the monitor has made, or is making: pause, a container's first process, or an exec.
// Owns its descriptors; the process itself is ended through its control group. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/clone.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/launch/plan_format.h"

namespace fermata::runtime {

// What a start needs besides the plan; the descriptors stay the caller's.
struct LaunchFds {
  int cgroup = -1;      // born in this group
  int join = -1;        // pidfd for kJoinSlot
  int pid_join = -1;    // pidfd for kPidSlot and the PID namespace
  int program = -1;     // pause's sealed program
  int own_pid_ns = -1;  // the monitor's own PID namespace, to come back to
  int null = -1;        // /dev/null
  bool want_stdin = false;
};

class Child {
 public:
  enum class State : uint8_t { kStarting, kRunning, kExited };

  // Makes the pipes and the process. On failure nothing is left.
  Result<> Launch(const PlanView& plan, const LaunchFds& fds, bool pipes);

  // Reads the report pipe; call when it is readable or when the process has ended. True when the outcome of
  // the start is known: then state() is kRunning, or failure() says which step failed.
  bool ReadReport();
  void SetExited(int exit_code);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] const ChildFailure& failure() const { return failure_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  [[nodiscard]] int report() const { return report_.get(); }
  [[nodiscard]] int exit_code() const { return exit_code_; }
  [[nodiscard]] int64_t started_at_ns() const { return started_at_ns_; }
  [[nodiscard]] int64_t finished_at_ns() const { return finished_at_ns_; }
  [[nodiscard]] int output(size_t stream) const { return output_[stream].get(); }  // 0 stdout, 1 stderr; non-blocking
  void CloseOutput(size_t stream) { output_[stream].Reset(); }
  void CloseReport() { report_.Reset(); }

 private:
  State state_ = State::kStarting;
  bool failed_ = false;
  ChildFailure failure_;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd report_;
  UniqueFd stdin_;  // write end, where the container asked for a standard input
  UniqueFd output_[2];
  int exit_code_ = 0;
  int64_t started_at_ns_ = 0;
  int64_t finished_at_ns_ = 0;
};

int64_t NowNanoseconds();

}  // namespace fermata::runtime
