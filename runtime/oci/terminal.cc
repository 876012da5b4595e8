#include "runtime/oci/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <optional>

#include "runtime/base/file.h"
#include "runtime/base/send_descriptor.h"
#include "runtime/base/spawn.h"

namespace fermata::runtime::oci {
namespace {

// Our own terminal in raw mode for as long as this lives.
class RawMode {
 public:
  RawMode() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    ::cfmakeraw(&raw);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  ~RawMode() {
    if (changed_) (void)::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }

 private:
  termios before_{};
  bool changed_ = false;
};

void CopySize(int terminal) {
  winsize size{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) (void)::ioctl(terminal, TIOCSWINSZ, &size);
}

// What there is to read now; false at the end.
bool Copy(int from, int to) {
  std::array<char, 8192> buffer;
  const ssize_t count = ::read(from, buffer.data(), buffer.size());
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  return count > 0 && WriteAll(to, {buffer.data(), static_cast<size_t>(count)});
}

void PassSignals(int signals, const Pidfd& process, int terminal) {
  signalfd_siginfo info{};
  if (::read(signals, &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo == SIGCHLD) return;
  if (info.ssi_signo == SIGWINCH && terminal >= 0) return CopySize(terminal);
  (void)process.Signal(static_cast<int>(info.ssi_signo));  // one that has just ended needs none
}

}  // namespace

Result<UniqueFd> HoldSignals() {
  sigset_t signals;
  ::sigfillset(&signals);
  // What is raised by a fault of our own stays deadly.
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) ::sigdelset(&signals, fault);
  if (::sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return Error::Errno("sigprocmask");
  UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return Error::Errno("signalfd");
  return fd;
}

Result<UniqueFd> ConnectUnix(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  ASSIGN_OR_RETURN(const UniqueFd parent, OpenAt(AT_FDCWD, directory, O_PATH | O_DIRECTORY));
  const std::string name = "/proc/self/fd/" + std::to_string(parent.get()) + "/" + path.substr(slash + 1);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof address.sun_path) {
    return Error::Make(ErrorCode::kInvalidArgument, "socket ", path, ": the name is too long");
  }
  std::memcpy(address.sun_path, name.c_str(), name.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return Error::Errno("socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error::Errno("connect to ", path);
  }
  return socket;
}

Result<UniqueFd> ReceiveDescriptor(int socket) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (count < 0) return Error::Errno("recvmsg");
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (count == 0 || header == nullptr || header->cmsg_type != SCM_RIGHTS) {
    return Error::Make(ErrorCode::kUnavailable, "no descriptor came");
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return UniqueFd(fd);
}

Result<> SendDescriptor(int socket, const std::string& text, int fd) {
  const ssize_t count = SendWithDescriptor(socket, text.data(), text.size(), fd);
  if (count < 0) return Error::Errno("sendmsg");
  return WriteAll(socket, std::string_view(text).substr(static_cast<size_t>(count)));
}

Result<int> Attend(const Pidfd& process, int terminal, int signals) {
  std::optional<RawMode> raw;
  if (terminal >= 0) {
    raw.emplace();
    CopySize(terminal);
  }
  std::array<pollfd, 4> wanted = {pollfd{process.get(), POLLIN, 0}, pollfd{signals, POLLIN, 0},
                                  pollfd{terminal, POLLIN, 0}, pollfd{terminal < 0 ? -1 : STDIN_FILENO, POLLIN, 0}};
  for (;;) {
    if (::poll(wanted.data(), wanted.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return Error::Errno("poll");
    }
    if ((wanted[1].revents & POLLIN) != 0) PassSignals(signals, process, terminal);
    if (wanted[2].revents != 0 && !Copy(terminal, STDOUT_FILENO)) wanted[2].fd = -1;
    if (wanted[3].revents != 0 && !Copy(STDIN_FILENO, terminal)) wanted[3].fd = -1;
    // What it wrote before its end is read first: the other end closes with it.
    if (wanted[0].revents != 0 && (wanted[2].fd < 0 || (wanted[2].revents & POLLIN) == 0)) break;
  }
  raw.reset();
  return Reap(process);
}

}  // namespace fermata::runtime::oci
