// Requests whose answer is a stream: exec with streams, attach, sockets in the pod.
#include <array>

#include "runtime/monitor/client.h"

namespace fermata::runtime {

Result<> MonitorClient::RequireSessions() const {
  if ((features_ & kFeatureSessions) != 0) return {};
  return Error::Make(ErrorCode::kUnimplemented,
                     "the pod's monitor is of a version that cannot stream yet; "
                     "a pod that is made anew can");
}

Result<> MonitorClient::OpenExec(const std::string& id, const LaunchPlan& plan, SessionWants wants, int session) {
  RETURN_IF_ERROR(RequireSessions());
  const uint64_t request = NextId();
  MessageWriter message(MessageType::kExec, request);
  message.Add(Tag::kId, id).Add(Tag::kExecId, request).Add(Tag::kSession, uint64_t{1});
  message.Add(Tag::kWantStdin, uint64_t{wants.input}).Add(Tag::kTerminal, uint64_t{wants.terminal});
  RETURN_IF_ERROR(RequestWithPlan(message, request, {session}, plan));
  return {};
}

Result<> MonitorClient::AttachTo(const std::string& id, SessionWants wants, int session) {
  RETURN_IF_ERROR(RequireSessions());
  const uint64_t request = NextId();
  MessageWriter message(MessageType::kAttach, request);
  message.Add(Tag::kId, id)
      .Add(Tag::kWantStdin, uint64_t{wants.input})
      .Add(Tag::kWantStdout, uint64_t{wants.output})
      .Add(Tag::kWantStderr, uint64_t{wants.error_output})
      .Add(Tag::kStdinOnce, uint64_t{wants.stdin_once});
  const std::array fds = {session};
  RETURN_IF_ERROR(Request(message, request, fds, nullptr));
  return {};
}

Result<std::vector<UniqueFd>> MonitorClient::PodSockets() {
  RETURN_IF_ERROR(RequireSessions());
  const uint64_t request = NextId();
  MessageWriter message(MessageType::kSockets, request);
  std::vector<UniqueFd> sockets;
  RETURN_IF_ERROR(Request(message, request, {}, nullptr, &sockets));
  if (sockets.empty()) return Error::Make(ErrorCode::kInternal, "the monitor gave no socket");
  return sockets;
}

}  // namespace fermata::runtime
