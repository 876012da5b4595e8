#include "runtime/oci/launch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "runtime/base/file.h"
#include "runtime/base/spawn.h"
#include "runtime/oci/terminal.h"

namespace fermata::runtime::oci {
namespace {

// The first stage has ended by itself; the second is a child of ours too.
Result<> FollowStage(StartedProcess& process, pid_t pid) {
  (void)Reap(process.pidfd);
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) return Error::Errno("pidfd_open");
  process = {pid, Pidfd(std::move(pidfd))};
  return {};
}

Result<> OpenGate(const StartedProcess& process, const Attendance& attendance) {
  if (attendance.at_gate) RETURN_IF_ERROR(attendance.at_gate(process));
  return WriteAll(attendance.gate, "g");
}

Result<> HandOn(const StartedProcess& process, const Attendance& attendance) {
  ASSIGN_OR_RETURN(const UniqueFd listener, ReceiveDescriptor(attendance.listener), "seccomp listener");
  return attendance.hand_on(process, listener);
}

Result<> WaitUntilUp(const LaunchPlan& plan, int report, StartedProcess& process, const Attendance& attendance) {
  pollfd ready[2] = {{report, POLLIN, 0}, {attendance.listener, POLLIN, 0}};
  for (;;) {
    if (::poll(ready, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return Error::Errno("poll");
    }
    if ((ready[1].revents & POLLIN) != 0) {
      RETURN_IF_ERROR(HandOn(process, attendance));
      ready[1].fd = -1;
    }
    ChildFailure message;
    switch (ReadReport(report, message)) {
      case Report::kNothing:
        break;
      case Report::kStage:
        RETURN_IF_ERROR(FollowStage(process, message.error));
        break;
      case Report::kGate:
        RETURN_IF_ERROR(OpenGate(process, attendance));
        break;
      case Report::kFailed:
        return StepError(StepsOf(plan), message);
      case Report::kClosed:
        return {};
    }
  }
}

}  // namespace

Error StepError(const std::vector<std::string>& steps, const ChildFailure& failure) {
  const std::string& step = steps[std::min<size_t>(failure.step, steps.size() - 1)];
  if (failure.step + 1 < steps.size()) return Error::FromErrno(failure.error, step);
  const std::string program = step.substr(step.find(' ') + 1);
  if (failure.error == ENOENT && program.find('/') == std::string::npos) {
    return Error::Make(ErrorCode::kInvalidArgument, "exec: \"", program, "\": executable file not found in $PATH");
  }
  return Error::FromErrno(failure.error, "exec: \"", program, "\"").WithCode(ErrorCode::kInvalidArgument);
}

std::vector<std::string> StepsOf(const LaunchPlan& plan) {
  std::vector<std::string> steps = plan.Lines();
  steps.push_back(plan.Describe(static_cast<uint32_t>(steps.size())));
  return steps;
}

Result<StartedProcess> LaunchAndWait(const LaunchPlan& plan, const LaunchFds& fds, const Attendance& attendance) {
  ASSIGN_OR_RETURN(LaunchedProcess launched, Launch(plan.view(), fds));
  StartedProcess process{launched.pid, Pidfd(std::move(launched.pidfd))};
  Result<> up = WaitUntilUp(plan, launched.report.get(), process, attendance);
  if (up) return process;
  (void)process.pidfd.Signal(SIGKILL);  // most likely it has ended already
  (void)Reap(process.pidfd);
  return std::move(up).error();
}

Result<SeccompFilter> FilterOf(const Spec& spec) {
  if (!spec.linux.seccomp) return SeccompFilter();
  ASSIGN_OR_RETURN(SeccompFilter filter, CompileSeccomp(*spec.linux.seccomp));
  if (filter->notifies == spec.linux.seccomp->listener_path.empty()) {
    return Error::Make(ErrorCode::kInvalidArgument, "seccomp: listenerPath and SCMP_ACT_NOTIFY belong together");
  }
  return filter;
}

Result<Console> MakeConsole(const std::string& socket_path, bool detach) {
  Console console;
  if (!socket_path.empty()) {
    ASSIGN_OR_RETURN(console.theirs, ConnectUnix(socket_path), "console socket");
    return console;
  }
  if (detach) {
    return Error::Make(ErrorCode::kInvalidArgument, "a terminal without anybody in front of it needs --console-socket");
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return Error::Errno("socketpair");
  console.ours.Reset(ends[0]);
  console.theirs.Reset(ends[1]);
  return console;
}

Result<> WritePidFile(const std::string& path, pid_t pid) {
  if (path.empty()) return {};
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  ASSIGN_OR_RETURN(const UniqueFd parent, OpenAt(AT_FDCWD, directory, O_PATH | O_DIRECTORY), "pid file");
  return WriteFileAtomic(parent.get(), path.substr(slash + 1), std::to_string(pid));
}

Result<> CheckPreserved(size_t count) {
  constexpr size_t kMostPreserved = 32;
  if (count > kMostPreserved) return Error::Make(ErrorCode::kInvalidArgument, "--preserve-fds: at most 32");
  for (size_t i = 0; i < count; ++i) {
    if (::fcntl(static_cast<int>(3 + i), F_GETFD) >= 0) continue;
    return Error::Make(ErrorCode::kInvalidArgument, "--preserve-fds: descriptor ", std::to_string(3 + i),
                       " is not open");
  }
  return {};
}

}  // namespace fermata::runtime::oci
