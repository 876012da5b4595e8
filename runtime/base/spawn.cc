#include "runtime/base/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "runtime/base/child_signals.h"
#include "runtime/base/clone.h"

namespace fermata {
namespace {

struct ChildArguments {
  const SpawnOptions* options;
  char* const* argv;
  char* const* envp;
  int error = 0;
  const char* step = "";
};

// In the child, in the parent's memory: system calls and writes to ChildArguments only.
int RunChild(void* argument) {
  auto& child = *static_cast<ChildArguments*>(argument);
  const auto fail = [&child](const char* step) {
    child.error = errno;
    child.step = step;
    return 127;
  };
  if (::syscall(SYS_setsid) < 0) return fail("setsid");
  if (::chdir("/") != 0) return fail("chdir /");
  // First all sources above the numbers wanted, so that no dup2 hits a source still needed.
  constexpr int kMaxFds = 16;
  int moved[kMaxFds];
  const auto& fds = child.options->fds;
  for (size_t i = 0; i < fds.size(); ++i) {
    moved[i] = ::fcntl(fds[i].first, F_DUPFD_CLOEXEC, 64);
    if (moved[i] < 0) return fail("duplicate descriptor");
  }
  int executable = -1;
  if (child.options->executable_fd >= 0) {
    executable = ::fcntl(child.options->executable_fd, F_DUPFD_CLOEXEC, 64);
    if (executable < 0) return fail("duplicate descriptor");
  }
  if (::syscall(SYS_close_range, 0, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return fail("close_range");
  for (size_t i = 0; i < fds.size(); ++i) {
    // Not the library's: the thread sanitizer would take the child's table of descriptors for ours.
    if (::syscall(SYS_dup3, moved[i], fds[i].second, 0) < 0) return fail("dup3");
  }
  ResetSignals();
  if (executable >= 0) {
    ::syscall(SYS_execveat, executable, "", child.argv, child.envp, AT_EMPTY_PATH);
  } else {
    ::execve(child.options->executable.c_str(), child.argv, child.envp);
  }
  return fail("execute");
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Result<SpawnedProcess> Spawn(const SpawnOptions& options) {
  constexpr size_t kStackBytes = size_t{64} << 10;
  if (options.fds.size() > 16) return Error::Make(ErrorCode::kInvalidArgument, "spawn: too many descriptors");
  const std::vector<char*> argv = Pointers(options.arguments);
  const std::vector<char*> envp = Pointers(options.environment);
  ChildArguments child{&options, argv.data(), envp.data()};
  const std::unique_ptr<char[]> stack(new char[kStackBytes]);

  // No handler of ours may run in the child while it shares our memory.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  if (::pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return Error::Make(ErrorCode::kInternal, "block signals");
  const uint64_t flags = options.new_pid_namespace ? CLONE_NEWPID : 0;
  auto cloned =
      CloneVfork({.flags = flags, .cgroup_fd = options.cgroup_fd}, stack.get(), kStackBytes, RunChild, &child);
  (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);

  const std::string& name = options.arguments.empty() ? options.executable : options.arguments.front();
  if (!cloned) return std::move(cloned).error().Wrap("spawn ", name);
  SpawnedProcess process{cloned->pid, Pidfd(std::move(cloned->pidfd))};
  if (child.error != 0) {
    (void)Reap(process.pidfd);  // it has ended with 127; the reason is in child.error
    return Error::FromErrno(child.error, "spawn ", name, ": ", child.step);
  }
  return process;
}

Result<int> Reap(const Pidfd& pidfd) {
  siginfo_t info{};
  int status = 0;
  do {
    status = ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd.get()), &info, WEXITED);
  } while (status != 0 && errno == EINTR);
  if (status != 0) return Error::Errno("waitid");
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace fermata
