// A descriptor beside bytes over a stream socket (unix(7), SCM_RIGHTS). Async-signal-safe: for the child script too.
#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

namespace fermata {

// How many of the `size` bytes went with it, -1 with errno.
inline ssize_t SendWithDescriptor(int socket, const void* data, size_t size, int fd) noexcept {
  iovec part{const_cast<void*>(data), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return ::syscall(SYS_sendmsg, socket, &message, MSG_NOSIGNAL);
}

}  // namespace fermata
