#include "runtime/monitor/child.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

#include "runtime/launch/child_script.h"

namespace fermata::runtime {
namespace {

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> MakePipe(int flags) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC | flags) != 0) return Error::Errno("pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// The monitor's end of a stream must not block; the container's end must (it is its own choice).
Result<> SetNonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return Error::Errno("fcntl");
  return {};
}

// A new child of ours is born in the PID namespace set here (pid_namespaces(7)); the monitor itself stays.
Result<> SetChildPidNamespace(int fd) {
  if (::setns(fd, CLONE_NEWPID) == 0) return {};
  Error error = Error::Errno("setns pid");
  return error.saved_errno() == ESRCH ? Error::FromErrno(ESRCH, "the sandbox is gone: setns pid") : error;
}

}  // namespace

int64_t NowNanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Result<> Child::Launch(const PlanView& plan, const LaunchFds& fds, bool pipes) {
  ASSIGN_OR_RETURN(Pipe report, MakePipe(0));
  Pipe input;
  Pipe output[2];
  if (fds.want_stdin) {
    ASSIGN_OR_RETURN(input, MakePipe(0));
  }
  if (pipes) {
    for (Pipe& pipe : output) {
      ASSIGN_OR_RETURN(pipe, MakePipe(0));
      RETURN_IF_ERROR(SetNonblocking(pipe.read.get()));
    }
  }
  RETURN_IF_ERROR(SetNonblocking(report.read.get()));
  const ChildFds child_fds{{fds.want_stdin ? input.read.get() : fds.null, pipes ? output[0].write.get() : fds.null,
                            pipes ? output[1].write.get() : fds.null},
                           report.write.get(),
                           fds.join,
                           fds.pid_join,
                           fds.program};

  const bool join_pid = plan.header().join_pid_namespace != 0;
  if (join_pid) RETURN_IF_ERROR(SetChildPidNamespace(fds.pid_join));
  auto cloned = ClonePlain({.flags = plan.header().clone_flags, .cgroup_fd = fds.cgroup});
  if (cloned && cloned->pid == 0) RunChild(plan, child_fds);
  // Without the way back every later CLONE_NEWPID would be refused; it cannot fail for our own namespace.
  if (join_pid) RETURN_IF_ERROR(SetChildPidNamespace(fds.own_pid_ns));
  if (!cloned) return std::move(cloned).error();

  pid_ = cloned->pid;
  pidfd_ = std::move(cloned->pidfd);
  report_ = std::move(report.read);
  stdin_ = std::move(input.write);
  for (size_t i = 0; i < 2; ++i) output_[i] = std::move(output[i].read);
  return {};
}

bool Child::ReadReport() {
  ChildFailure message;
  for (;;) {
    const ssize_t count = ::read(report_.get(), &message, sizeof message);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return false;
    if (count == sizeof message && message.step == ~0U) {
      // The second stage has begun: from now on that sibling is the process. If it has ended already there is no
      // pidfd, and the monitor, which has reaped it, says so next.
      pid_ = message.error;
      pidfd_.Reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
      continue;
    }
    if (count == sizeof message) {
      failed_ = true;
      failure_ = message;
    } else if (state_ == State::kStarting) {
      state_ = State::kRunning;
      started_at_ns_ = NowNanoseconds();
    }
    return true;
  }
}

void Child::SetExited(int exit_code) {
  state_ = State::kExited;
  exit_code_ = exit_code;
  finished_at_ns_ = NowNanoseconds();
}

}  // namespace fermata::runtime
