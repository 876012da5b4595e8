#include "runtime/base/socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace fermata {
namespace {

sockaddr_un AddressBelow(int directory, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

Result<UniqueFd> Seqpacket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Error::Errno("socket");
  return fd;
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> SeqpacketPair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return Error::Errno("socketpair");
  return std::pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<UniqueFd> SeqpacketListen(int directory, const std::string& name) {
  ASSIGN_OR_RETURN(UniqueFd fd, Seqpacket());
  const sockaddr_un address = AddressBelow(directory, name);
  if (::unlinkat(directory, name.c_str(), 0) != 0 && errno != ENOENT) return Error::Errno("unlink ", name);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error::Errno("bind ", name);
  }
  if (::fchmodat(directory, name.c_str(), 0600, 0) != 0) return Error::Errno("chmod ", name);
  if (::listen(fd.get(), 4) != 0) return Error::Errno("listen ", name);
  return fd;
}

Result<UniqueFd> SeqpacketConnect(int directory, const std::string& name) {
  ASSIGN_OR_RETURN(UniqueFd fd, Seqpacket());
  const sockaddr_un address = AddressBelow(directory, name);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error::Errno("connect ", name);
  }
  return fd;
}

Result<> SendMessage(int socket, std::string_view data, std::span<const int> fds, int flags) {
  if (fds.size() > kMaxMessageFds) return Error::Make(ErrorCode::kInvalidArgument, "sendmsg: too many descriptors");
  iovec part{const_cast<char*>(data.data()), data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxMessageFds * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    std::memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return Error::Errno("sendmsg");
  return {};
}

Result<ReceivedMessage> ReceiveMessage(int socket, std::span<char> buffer, int flags) {
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxMessageFds * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count = 0;
  do {
    count = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return Error::Errno("recvmsg");
  ReceivedMessage received;
  received.data = std::string_view(buffer.data(), static_cast<size_t>(count));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t fds = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < fds; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      received.fds.emplace_back(fd);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Error::Make(ErrorCode::kInvalidArgument, "recvmsg: message is too long");
  }
  return received;
}

}  // namespace fermata
