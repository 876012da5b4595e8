// Pidfd: a process by handle, never by a number that may have been used again (pidfd_open(2)).
// Owns the descriptor, not the process. Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata {

class Pidfd {
 public:
  Pidfd() = default;
  explicit Pidfd(UniqueFd fd) : fd_(std::move(fd)) {}

  static Result<Pidfd> Open(pid_t pid);
  // Opens `pid` only if that process began at `start_time` (field 22 of /proc/PID/stat): a pid read
  // back from disk. kNotFound if it is gone or another process.
  static Result<Pidfd> OpenChecked(pid_t pid, uint64_t start_time);

  [[nodiscard]] int get() const { return fd_.get(); }
  [[nodiscard]] bool valid() const { return fd_.valid(); }

  // A process that has ended already is no error.
  Result<> Signal(int signal) const;
  // True once the process has ended. Waits up to `timeout_ms` (-1: for ever).
  [[nodiscard]] bool WaitExited(int timeout_ms) const;

 private:
  UniqueFd fd_;
};

// When the process began, in clock ticks since boot (proc_pid_stat(5), field 22).
Result<uint64_t> ProcessStartTime(pid_t pid);

}  // namespace fermata
