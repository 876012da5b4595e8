#include "runtime/launch/child_script.h"

#include <fcntl.h>
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
constexpr size_t kFirstSlotFd = 7;
constexpr size_t kMaxStrings = size_t{64} << 10;

[[noreturn]] void Fail(int report, uint32_t step, int error) noexcept {
  const ChildFailure failure{step, error};
  (void)!::write(report, &failure, sizeof failure);
  ::syscall(SYS_exit_group, 127);
  __builtin_unreachable();
}

// Gives the descriptors their numbers and closes everything else that came from the launcher.
bool PlaceFds(const ChildFds& fds) noexcept {
  constexpr size_t kMaxFds = kFirstSlotFd + 2 * kMaxGiven;
  const size_t count = kFirstSlotFd + fds.slots.size();
  if (count > kMaxFds) return false;
  const int fixed[kFirstSlotFd] = {fds.standard[0], fds.standard[1], fds.standard[2], fds.report,
                                   fds.join,        fds.pid_join,    fds.program};
  int moved[kMaxFds];
  for (size_t i = 0; i < count; ++i) {
    const int given = i < kFirstSlotFd ? fixed[i] : fds.slots[i - kFirstSlotFd].fd;
    moved[i] = given < 0 ? -1 : ::fcntl(given, F_DUPFD_CLOEXEC, static_cast<int>(count));
    if (given >= 0 && moved[i] < 0) return false;
  }
  for (size_t i = 0; i < count; ++i) {
    const int number = static_cast<int>(i);
    if (moved[i] < 0) {
      ::close(number);
    } else if (::dup3(moved[i], number, number < kReportFd ? 0 : O_CLOEXEC) < 0) {
      return false;
    }
  }
  return ::syscall(SYS_close_range, count, ~0U, 0) == 0;
}

int RunStep(ChildState& state, const PlanStep& step) noexcept {
  const bool mount = step.op < Op::kSetns;
  const bool process = !mount && step.op < Op::kGate;
  const int done = mount     ? RunMountStep(state, step)
                   : process ? RunProcessStep(state, step)
                             : RunLaunchStep(state, step);
  if (done == 0) return 0;
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
  ChildState state{plan, {}, kReportFd, 0};
  for (int& slot : state.slots) slot = -1;
  state.slots[kJoinSlot] = fds.join < 0 ? -1 : kJoinFd;
  state.slots[kPidSlot] = fds.pid_join < 0 ? -1 : kPidJoinFd;
  for (size_t i = 0; i < fds.slots.size(); ++i) {
    if (fds.slots[i].fd >= 0) state.slots[fds.slots[i].slot] = static_cast<int>(kFirstSlotFd + i);
  }

  uint32_t index = 0;
  for (const PlanStep& step : plan.steps()) {
    if (RunStep(state, step) != 0) {
      // The look for the program fails in the words of its execution.
      Fail(state.report, step.op == Op::kFindProgram ? header.step_count : index, errno);
    }
    ++index;
  }
  if (header.argument_count + header.environment_count > kMaxStrings) Fail(state.report, index, E2BIG);
  const char* argv[header.argument_count + 1];     // NOLINT: the stack is the only memory here
  const char* envp[header.environment_count + 1];  // NOLINT
  FillPointers(plan, header.arguments, header.argument_count, argv);
  FillPointers(plan, header.environment, header.environment_count, envp);
  Fail(state.report, index, Execute(plan, argv, envp));
}

}  // namespace fermata::runtime
