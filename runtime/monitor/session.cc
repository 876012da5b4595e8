#include "runtime/monitor/session.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

namespace fermata::runtime {
namespace {

// False if the socket has no room now. A peer that is gone takes everything; the loop sees the end.
bool SendNow(int socket, PacketKind kind, std::string_view content) {
  auto byte = static_cast<uint8_t>(kind);
  iovec parts[2] = {{&byte, 1}, {const_cast<char*>(content.data()), content.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  for (;;) {
    if (::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    if (errno != EINTR) return errno != EAGAIN && errno != ENOBUFS;
  }
}

}  // namespace

void Session::Send(PacketKind kind, std::string_view content) {
  if (pending.empty() && SendNow(socket.get(), kind, content)) return;
  std::string& packet = pending.emplace_back(1, static_cast<char>(kind));
  packet.append(content);
  pending_bytes += packet.size();
}

void Session::Flush() {
  while (!pending.empty()) {
    const std::string& packet = pending.front();
    if (!SendNow(socket.get(), static_cast<PacketKind>(packet[0]), std::string_view(packet).substr(1))) return;
    pending_bytes -= packet.size();
    pending.pop_front();
  }
}

}  // namespace fermata::runtime
