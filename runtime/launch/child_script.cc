#include "runtime/launch/child_script.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/child_signals.h"

namespace fermata::runtime {
namespace {

constexpr int kReportFd = 3;
constexpr int kJoinFd = 4;
constexpr int kPidJoinFd = 5;
constexpr int kProgramFd = 6;
constexpr int kFirstSlotFd = 7;
constexpr size_t kMaxStrings = size_t{64} << 10;

[[noreturn]] void Fail(int report, uint32_t step, int error) noexcept {
  const ChildFailure failure{step, error};
  (void)!::write(report, &failure, sizeof failure);
  ::syscall(SYS_exit_group, 127);
  __builtin_unreachable();
}

// Gives the descriptors their numbers and closes everything else that came from the monitor.
bool PlaceFds(const ChildFds& fds) noexcept {
  const int given[kFirstSlotFd] = {fds.standard[0], fds.standard[1], fds.standard[2], fds.report,
                                   fds.join,        fds.pid_join,    fds.program};
  int moved[kFirstSlotFd];
  for (int i = 0; i < kFirstSlotFd; ++i) {
    moved[i] = given[i] < 0 ? -1 : ::fcntl(given[i], F_DUPFD_CLOEXEC, kFirstSlotFd);
    if (given[i] >= 0 && moved[i] < 0) return false;
  }
  for (int i = 0; i < kFirstSlotFd; ++i) {
    const int flags = i < kReportFd ? 0 : O_CLOEXEC;
    if (moved[i] < 0) {
      ::close(i);
    } else if (::dup3(moved[i], i, flags) < 0) {
      return false;
    }
  }
  return ::syscall(SYS_close_range, kFirstSlotFd, ~0U, 0) == 0;
}

int RunStep(ChildState& state, const PlanStep& step) noexcept {
  const bool mount = step.op < Op::kSetns;
  if ((mount ? RunMountStep(state, step) : RunProcessStep(state, step)) == 0) return 0;
  if ((step.flags & kMissingOk) != 0 && errno == ENOENT) return 0;
  if ((step.flags & kPermissionOk) != 0 && (errno == EACCES || errno == EPERM)) return 0;
  return -1;
}

// Fills `pointers` (NULL at the end) with the texts of an array of positions.
void FillPointers(const PlanView& plan, uint32_t array, uint32_t count, const char** pointers) noexcept {
  for (uint32_t i = 0; i < count; ++i) pointers[i] = plan.Text(plan.Array(array)[i]);
  pointers[count] = nullptr;
}

// Executes the first candidate that exists. As execvp(3): "not allowed" is remembered while others are
// tried, because another directory of PATH may hold the program.
int Execute(const PlanView& plan, const char** argv, const char** envp) noexcept {
  const PlanHeader& header = plan.header();
  if (header.candidate_count == 0) {
    ::syscall(SYS_execveat, kProgramFd, "", argv, envp, AT_EMPTY_PATH);
    return errno;
  }
  int denied = 0;
  int error = ENOENT;
  for (uint32_t i = 0; i < header.candidate_count; ++i) {
    ::syscall(SYS_execve, plan.Text(plan.Array(header.candidates)[i]), argv, envp);
    error = errno;
    if (error == EACCES) denied = EACCES;
    if (error != EACCES && error != ENOENT && error != ENOTDIR) return error;
  }
  return denied != 0 ? denied : error;
}

}  // namespace

void RunChild(const PlanView& plan, const ChildFds& fds) noexcept {
  const PlanHeader& header = plan.header();
  if (!PlaceFds(fds)) Fail(fds.report, header.step_count, errno);
  ResetSignals();
  ChildState state{plan, {}, kReportFd};
  for (int& slot : state.slots) slot = -1;
  state.slots[kJoinSlot] = fds.join < 0 ? -1 : kJoinFd;
  state.slots[kPidSlot] = fds.pid_join < 0 ? -1 : kPidJoinFd;

  uint32_t index = 0;
  for (const PlanStep& step : plan.steps()) {
    if (RunStep(state, step) != 0) Fail(kReportFd, index, errno);
    ++index;
  }
  if (header.argument_count + header.environment_count > kMaxStrings) Fail(kReportFd, index, E2BIG);
  const char* argv[header.argument_count + 1];     // NOLINT: the stack is the only memory here
  const char* envp[header.environment_count + 1];  // NOLINT
  FillPointers(plan, header.arguments, header.argument_count, argv);
  FillPointers(plan, header.environment, header.environment_count, envp);
  if (::syscall(SYS_close_range, kReportFd, ~0U, CLOSE_RANGE_CLOEXEC) != 0) Fail(kReportFd, index, errno);
  Fail(kReportFd, index, Execute(plan, argv, envp));
}

}  // namespace fermata::runtime
