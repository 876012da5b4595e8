// Steps between a new process and who launched it: waiting, hooks, the program's descriptors. The rules at the top of
// child_script.h apply.
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "runtime/base/send_descriptor.h"
#include "runtime/launch/child_script.h"

namespace fermata::runtime {
namespace {

constexpr int kFirstPreserved = 3;

// EPIPE when whoever should write is gone.
int AwaitByte(int fd) noexcept {
  char byte = 0;
  for (;;) {
    const ssize_t count = ::read(fd, &byte, 1);
    if (count == 1) return 0;
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) errno = EPIPE;
    return -1;
  }
}

int Gate(const ChildState& state, int fd) noexcept {
  const ChildFailure reached{kReportGate, 0};
  if (::write(state.report, &reached, sizeof reached) != sizeof reached) return -1;
  return AwaitByte(fd);
}

// The launcher reads the end of file: everything is ready. It may be gone when the start comes, so what fails after
// that is told to the descriptor of whoever starts us.
int AwaitStart(const ChildState& state, int start, int started) noexcept {
  if (::dup3(started, state.report, O_CLOEXEC) < 0) return -1;
  ::close(started);
  return AwaitByte(start);
}

// In the clone: becomes the hook.
[[noreturn]] void ExecuteHook(const char* path, const char** argv, const char** envp, int input) noexcept {
  if (::lseek(input, 0, SEEK_SET) == 0 && ::dup3(input, STDIN_FILENO, 0) >= 0 &&
      ::syscall(SYS_close_range, 3, ~0U, 0) == 0) {
    ::syscall(SYS_execve, path, argv, envp);
  }
  ::syscall(SYS_exit_group, 127);
  __builtin_unreachable();
}

// 0 if it ended well; ETIMEDOUT (then it was killed), ECANCELED when it ended with a failure.
int WaitHook(pid_t pid, uint64_t seconds) noexcept {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) return -1;
  pollfd ended{pidfd, POLLIN, 0};
  const int timeout = seconds == 0 || seconds > 86400 ? -1 : static_cast<int>(seconds * 1000);
  int ready = 0;
  do {
    ready = ::poll(&ended, 1, timeout);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
  ::close(pidfd);
  int status = 0;
  if (::syscall(SYS_wait4, pid, &status, 0, nullptr) != pid) return -1;
  if (ready != 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  errno = ready == 0 ? ETIMEDOUT : ECANCELED;
  return -1;
}

int RunHook(const ChildState& state, const PlanStep& step) noexcept {
  const uint32_t* texts = state.plan.Array(step.text);
  const char* argv[step.a + 1];  // NOLINT: the stack is the only memory here
  const char* envp[step.b + 1];  // NOLINT
  for (uint64_t i = 0; i < step.a; ++i) argv[i] = state.plan.Text(texts[1 + i]);
  for (uint64_t i = 0; i < step.b; ++i) envp[i] = state.plan.Text(texts[1 + step.a + i]);
  argv[step.a] = nullptr;
  envp[step.b] = nullptr;
  const long pid = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) return -1;
  if (pid == 0) ExecuteHook(state.plan.Text(texts[0]), argv, envp, state.slots[step.fd]);
  return WaitHook(static_cast<pid_t>(pid), step.c);
}

// As the execution will go: the first that exists and may be executed; "not allowed" is remembered.
int FindProgram(const PlanView& plan) noexcept {
  const PlanHeader& header = plan.header();
  int error = ENOENT;
  for (uint32_t i = 0; i < header.candidate_count; ++i) {
    const char* path = plan.Text(plan.Array(header.candidates)[i]);
    struct stat status {};
    if (::stat(path, &status) != 0) {
      if (errno != ENOENT && errno != ENOTDIR && error != EACCES) error = errno;
      continue;
    }
    if (S_ISREG(status.st_mode) && ::syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) == 0) return 0;
    error = EACCES;
  }
  errno = error;
  return -1;
}

// All at once, because their sources, and other slots, may have the numbers that they are to get.
int Preserve(ChildState& state, const PlanStep& step) noexcept {
  const int end = kFirstPreserved + static_cast<int>(step.a);
  const auto move_up = [end](int& fd) {
    if (fd < kFirstPreserved || fd >= end) return true;
    const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, end);
    if (moved < 0) return false;
    fd = moved;
    return true;
  };
  if (!move_up(state.report)) return -1;
  for (int& fd : state.slots) {
    if (!move_up(fd)) return -1;
  }
  for (uint64_t i = 0; i < step.a; ++i) {
    const int source = state.slots[step.fd + static_cast<int>(i)];
    if (::dup3(source, kFirstPreserved + static_cast<int>(i), 0) < 0) return -1;
  }
  state.preserved = static_cast<unsigned>(step.a);
  return 0;
}

}  // namespace

int SendDescriptor(int socket, int fd) noexcept {
  const char byte = 0;
  return SendWithDescriptor(socket, &byte, 1, fd) == 1 ? 0 : -1;
}

int RunLaunchStep(ChildState& state, const PlanStep& step) noexcept {
  switch (step.op) {
    case Op::kGate:
      return Gate(state, state.slots[step.fd]);
    case Op::kAwaitStart:
      return AwaitStart(state, state.slots[step.fd], state.slots[step.fd2]);
    case Op::kHook:
      return RunHook(state, step);
    case Op::kTerminal:
      return OpenTerminal(state, step);
    case Op::kControllingTerminal:
      return ::ioctl(state.slots[step.fd], TIOCSCTTY, 0);
    case Op::kTerminalStreams:
      return SetTerminalStreams(state.slots[step.fd], step.a);
    case Op::kFindProgram:
      return FindProgram(state.plan);
    case Op::kPreserve:
      return Preserve(state, step);
    case Op::kCloseOnExec:
      return static_cast<int>(::syscall(SYS_close_range, kFirstPreserved + state.preserved, ~0U, CLOSE_RANGE_CLOEXEC));
    default:
      errno = EINVAL;
      return -1;
  }
}

}  // namespace fermata::runtime
