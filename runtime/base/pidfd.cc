#include "runtime/base/pidfd.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include "runtime/base/file.h"

namespace fermata {

Result<Pidfd> Pidfd::Open(pid_t pid) {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) {
    Error error = Error::Errno("pidfd_open ", std::to_string(pid));
    if (error.saved_errno() == ESRCH) return std::move(error).WithCode(ErrorCode::kNotFound);
    return error;
  }
  return Pidfd(UniqueFd(static_cast<int>(fd)));
}

Result<Pidfd> Pidfd::OpenChecked(pid_t pid, uint64_t start_time) {
  ASSIGN_OR_RETURN(Pidfd process, Open(pid));
  // The order closes the race: the handle is taken first, so the number cannot change hands between.
  auto began = ProcessStartTime(pid);
  if (!began || *began != start_time) {
    return Error::Make(ErrorCode::kNotFound, "process ", std::to_string(pid), " is another one now");
  }
  return process;
}

Result<> Pidfd::Signal(int signal) const {
  if (::syscall(SYS_pidfd_send_signal, fd_.get(), signal, nullptr, 0) == 0 || errno == ESRCH) return {};
  return Error::Errno("pidfd_send_signal ", std::to_string(signal));
}

bool Pidfd::WaitExited(int timeout_ms) const {
  pollfd entry{fd_.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

Result<uint64_t> ProcessStartTime(pid_t pid) {
  ASSIGN_OR_RETURN(const std::string stat, ReadFileAt(AT_FDCWD, "/proc/" + std::to_string(pid) + "/stat"));
  // The name in field 2 may hold anything, also ") 1 "; what follows the last ')' is numbers.
  size_t at = stat.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  uint64_t ticks = 0;
  if (at == std::string::npos ||
      std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), ticks).ec != std::errc{}) {
    return Error::Make(ErrorCode::kInternal, "/proc/", std::to_string(pid), "/stat: unexpected format");
  }
  return ticks;
}

}  // namespace fermata
