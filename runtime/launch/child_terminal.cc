// The terminal of a new process. The rules at the top of child_script.h apply.
//
// The process's end is opened by descriptor from the other end (TIOCGPTPEER, ioctl_tty(2)), never by a name in the
// container's /dev, which whoever made the image or lives there may have arranged (M-03 of the threat table).
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child_script.h"

namespace fermata::runtime {
namespace {

// The multiplexer of a devpts file system, and nothing else that may have its name.
int OpenMultiplexer(int devpts) noexcept {
  const int fd = devpts >= 0 ? ::openat(devpts, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC)
                             : ::open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -1;
  struct stat status {};
  struct statfs system {};
  const bool known = ::fstat(fd, &status) == 0 && ::fstatfs(fd, &system) == 0;
  if (known && system.f_type == DEVPTS_SUPER_MAGIC && S_ISCHR(status.st_mode) && status.st_rdev == makedev(5, 2)) {
    return fd;
  }
  ::close(fd);
  errno = ENOTTY;
  return -1;
}

int OpenPeer(int multiplexer, const PlanStep& step) noexcept {
  const int unlocked = 0;
  if (::ioctl(multiplexer, TIOCSPTLCK, &unlocked) != 0) return -1;
  const winsize size{static_cast<unsigned short>(step.a >> 16), static_cast<unsigned short>(step.a), 0, 0};
  if (step.a != 0 && ::ioctl(multiplexer, TIOCSWINSZ, &size) != 0) return -1;
  return ::ioctl(multiplexer, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

}  // namespace

int OpenTerminal(ChildState& state, const PlanStep& step) noexcept {
  const int multiplexer = OpenMultiplexer(step.fd == kNoSlot ? -1 : state.slots[step.fd]);
  if (multiplexer < 0) return -1;
  const int terminal = OpenPeer(multiplexer, step);
  const int sent = terminal < 0 ? -1 : SendDescriptor(state.slots[step.fd2], multiplexer);
  const int error = errno;
  ::close(multiplexer);
  state.slots[step.out] = terminal;
  errno = error;
  return sent;
}

int SetTerminalStreams(int terminal, uint64_t owner) noexcept {
  if (::fchown(terminal, static_cast<uid_t>(owner), static_cast<gid_t>(-1)) != 0) return -1;
  for (int fd = 0; fd < 3; ++fd) {
    if (::dup3(terminal, fd, 0) < 0) return -1;
  }
  return 0;
}

}  // namespace fermata::runtime
