#include "cri/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "runtime/base/unique_fd.h"

namespace fermata::cri {

Result<> NotifyServiceManager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == 0) return {};
  sockaddr_un address{};
  const size_t length = std::strlen(path);
  if ((*path != '/' && *path != '@') || length >= sizeof address.sun_path) {
    return Error::Make(ErrorCode::kInvalidArgument, "NOTIFY_SOCKET ", path, ": is no socket of a service manager");
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, length);
  if (*path == '@') address.sun_path[0] = 0;  // an abstract name, which has no NUL at its end
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return Error::Errno("socket");
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length + (*path == '/' ? 1 : 0));
  if (::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
               size) < 0) {
    return Error::Errno("notify ", path);
  }
  return {};
}

}  // namespace fermata::cri
