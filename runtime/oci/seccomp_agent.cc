#include "runtime/oci/seccomp_agent.h"

#include <sys/socket.h>

#include <array>

#include "runtime/base/json.h"
#include "runtime/oci/terminal.h"

namespace fermata::runtime::oci {

Result<ListenerSocket> MakeListenerSocket() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return Error::Errno("socketpair");
  return ListenerSocket{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<> HandOnListener(const ContainerState& state, Status status, pid_t pid, const UniqueFd& listener) {
  const Seccomp& seccomp = *state.spec.linux.seccomp;
  ASSIGN_OR_RETURN(const UniqueFd socket, ConnectUnix(seccomp.listener_path), "seccomp listener");
  const Json message = {{"ociVersion", "1.2.0"},
                        {"fds", {"seccompFd"}},
                        {"pid", pid},
                        {"metadata", seccomp.listener_metadata},
                        {"state", StateJson(state, status)}};
  return SendDescriptor(socket.get(), message.dump(), listener.get());
}

}  // namespace fermata::runtime::oci
