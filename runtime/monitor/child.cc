#include "runtime/monitor/child.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

#include "runtime/base/socket.h"

namespace fermata::runtime {
namespace {

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return Error::Errno("pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// The monitor's end of a stream must not block; the container's end must (it is its own choice).
Result<> SetNonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return Error::Errno("fcntl");
  return {};
}

}  // namespace

int64_t NowNanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Result<> Child::Launch(const PlanView& plan, LaunchFds fds, Streams streams) {
  Pipe input;
  Pipe output[2];
  std::pair<UniqueFd, UniqueFd> console;
  const int null = fds.standard[0];
  if (streams.terminal) {
    ASSIGN_OR_RETURN(console, SeqpacketPair());
  } else if (streams.input) {
    ASSIGN_OR_RETURN(input, MakePipe());
    RETURN_IF_ERROR(SetNonblocking(input.write.get()));
    fds.standard[0] = input.read.get();
  }
  const int given[] = {console.second.get()};
  if (streams.terminal) fds.given = given;
  for (size_t i = 0; i < 2; ++i) {
    fds.standard[i + 1] = null;
    if (!streams.output || streams.terminal) continue;
    ASSIGN_OR_RETURN(output[i], MakePipe());
    RETURN_IF_ERROR(SetNonblocking(output[i].read.get()));
    fds.standard[i + 1] = output[i].write.get();
  }
  ASSIGN_OR_RETURN(LaunchedProcess process, runtime::Launch(plan, fds));
  pid_ = process.pid;
  pidfd_ = std::move(process.pidfd);
  report_ = std::move(process.report);
  user_namespaces_ = std::move(process.user_namespaces);
  stdin_ = std::move(input.write);
  has_terminal_ = streams.terminal;
  console_ = std::move(console.first);
  for (size_t i = 0; i < 2; ++i) output_[i] = std::move(output[i].read);
  return {};
}

// Its program runs, so its plan has sent the terminal. Without one there is nothing to read and write.
void Child::TakeTerminal() {
  if (!console_.valid()) return;
  char byte[1];
  auto received = ReceiveMessage(console_.get(), byte, MSG_DONTWAIT);
  console_.Reset();
  if (!received || received->fds.size() != 1) return;
  output_[0] = std::move(received->fds.front());
  (void)SetNonblocking(output_[0].get());
  stdin_.Reset(::fcntl(output_[0].get(), F_DUPFD_CLOEXEC, 0));
}

bool Child::ReadReport() {
  ChildFailure message;
  for (;;) {
    switch (runtime::ReadReport(report_.get(), message)) {
      case Report::kNothing:
        return false;
      case Report::kStage:
        // From now on that sibling is the process. If it has ended already there is no pidfd, and the monitor, which
        // has reaped it, says so next.
        pid_ = message.error;
        pidfd_.Reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
        continue;
      case Report::kGate:
        continue;  // no plan of a monitor has one
      case Report::kFailed:
        failed_ = true;
        failure_ = message;
        return true;
      case Report::kClosed:
        if (state_ == State::kStarting) {
          state_ = State::kRunning;
          TakeTerminal();
          started_at_ns_ = NowNanoseconds();
        }
        return true;
    }
  }
}

void Child::SetExited(int exit_code) {
  state_ = State::kExited;
  exit_code_ = exit_code;
  finished_at_ns_ = NowNanoseconds();
}

}  // namespace fermata::runtime
