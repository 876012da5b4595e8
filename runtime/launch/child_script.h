// The child's side of a launch: follows a checked plan in the process that clone3 just made.
//
// Allowed here and in the other files child_*.cc: system calls (raw, where glibc's wrapper takes a
// lock or changes other threads), the stack, and reading the plan. No allocation, no locale, no
// stdio, no exceptions, no logging: two numbers to the report pipe are all that a failure leaves.
#pragma once

#include <span>

#include "runtime/launch/plan_format.h"

namespace fermata::runtime {

// A descriptor that is in a slot from the beginning.
struct SlotFd {
  int fd = -1;
  int16_t slot = kNoSlot;
};

// Descriptors that the launcher gives to a new process; all close-on-exec, -1: not given.
struct ChildFds {
  int standard[3] = {-1, -1, -1};      // become 0, 1, 2
  int report = -1;                     // write end; end of file at the reader = the program runs
  int join = -1;                       // pidfd for kJoinSlot
  int pid_join = -1;                   // pidfd for kPidSlot
  int program = -1;                    // executed when the plan names no candidates (pause)
  std::span<const SlotFd> slots = {};  // at most 2 * kMaxGiven
};

// Never returns: the process becomes the program, or writes a ChildFailure and ends with status 127.
[[noreturn]] void RunChild(const PlanView& plan, const ChildFds& fds) noexcept;

// What the step functions share. `slots` are descriptors, -1 where nothing is open.
struct ChildState {
  const PlanView& plan;
  int slots[kMaxSlots];
  int report;
  unsigned preserved = 0;  // descriptors from 3 on that the program keeps
};

// Each gives 0, or -1 with errno set. kNone and unknown steps are EINVAL.
int RunMountStep(ChildState& state, const PlanStep& step) noexcept;
int RunProcessStep(ChildState& state, const PlanStep& step) noexcept;
int RunLaunchStep(ChildState& state, const PlanStep& step) noexcept;

// Parts of the above that have files of their own.
int CopyUp(int root, const char* path, int mount) noexcept;
int OpenTerminal(ChildState& state, const PlanStep& step) noexcept;
int SetTerminalStreams(int terminal, uint64_t owner) noexcept;
// One byte and the descriptor, by SCM_RIGHTS.
int SendDescriptor(int socket, int fd) noexcept;

}  // namespace fermata::runtime
