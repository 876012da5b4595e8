// Child: one process that the monitor has made, or is making: pause, a container's first process, or an exec.
// Owns its descriptors; the process itself is ended through its control group. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/launch/launcher.h"
#include "runtime/launch/plan_format.h"

namespace fermata::runtime {

class Child {
 public:
  enum class State : uint8_t { kStarting, kRunning, kExited };

  // What its standard streams are; without a pipe: /dev/null. A terminal is all three, and output(0) once it runs.
  struct Streams {
    bool input = false;
    bool output = false;
    bool terminal = false;
  };
  // Makes the pipes and the process; fds.standard[0] is /dev/null. On failure nothing is left.
  Result<> Launch(const PlanView& plan, LaunchFds fds, Streams streams);
  // User namespaces that were made for it.
  [[nodiscard]] std::vector<UniqueFd> TakeUserNamespaces() { return std::move(user_namespaces_); }

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
  [[nodiscard]] bool has_terminal() const { return has_terminal_; }
  [[nodiscard]] int input() const { return stdin_.get(); }  // non-blocking; -1: none, or closed
  void CloseInput() { stdin_.Reset(); }
  void CloseReport() { report_.Reset(); }

 private:
  void TakeTerminal();

  State state_ = State::kStarting;
  bool failed_ = false;
  ChildFailure failure_;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd report_;
  UniqueFd stdin_;    // write end, where a standard input was asked for; of a terminal another of its descriptors
  UniqueFd console_;  // where the terminal comes
  bool has_terminal_ = false;
  UniqueFd output_[2];
  std::vector<UniqueFd> user_namespaces_;
  int exit_code_ = 0;
  int64_t started_at_ns_ = 0;
  int64_t finished_at_ns_ = 0;
};

int64_t NowNanoseconds();

}  // namespace fermata::runtime
