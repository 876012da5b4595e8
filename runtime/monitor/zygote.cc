#include "runtime/monitor/zygote.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/clone.h"
#include "runtime/base/socket.h"

namespace fermata::runtime {
namespace {

constexpr size_t kForkFds = 4;

// A peer that is gone already is no error: the monitor then waits for the next daemon.
void Answer(int connection, MessageWriter reply, std::span<const int> fds = {}) {
  (void)SendMessage(connection, reply.Finish(), fds, MSG_DONTWAIT);
}

}  // namespace

Result<std::optional<MonitorFds>> Zygote::Serve() {
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_NAME, "fermata-zygote");
  for (const UniqueFd* given : {&connection_, &program_}) {
    if (::fcntl(given->get(), F_SETFD, FD_CLOEXEC) != 0) return Error::Errno("fcntl");
  }
  ASSIGN_OR_RETURN(buffer_, PageBuffer::Map(kMaxMessageBytes));
  for (;;) {
    ASSIGN_OR_RETURN(ReceivedMessage received, ReceiveMessage(connection_.get(), buffer_.span()));
    if (received.data.empty()) return std::optional<MonitorFds>();
    const auto message = MessageReader::Parse(received.data);
    if (!message || message->type() != MessageType::kFork || received.fds.size() != kForkFds) continue;
    ASSIGN_OR_RETURN(auto fds, Fork(std::move(received.fds)));
    if (fds) return fds;
  }
}

// CLONE_PARENT: the daemon is to be the parent, as if it had started the monitor itself.
Result<std::optional<MonitorFds>> Zygote::Fork(std::vector<UniqueFd> fds) {
  UniqueFd& connection = fds[0];
  auto cloned = ClonePlain({.flags = CLONE_PARENT, .cgroup_fd = fds[3].get()});
  if (!cloned) {
    Answer(connection.get(), MessageWriter(MessageType::kErrorReply, 0)
                                 .Add(Tag::kErrno, static_cast<uint64_t>(cloned.error().saved_errno()))
                                 .Add(Tag::kText, cloned.error().message()));
    return std::optional<MonitorFds>();
  }
  if (cloned->pid != 0) {
    const int pidfd = cloned->pidfd.get();
    Answer(connection.get(), MessageWriter(MessageType::kReply, 0).Add(Tag::kPid, static_cast<uint64_t>(cloned->pid)),
           {&pidfd, 1});
    return std::optional<MonitorFds>();
  }
  connection_.Reset();
  if (::setsid() < 0) return Error::Errno("setsid");
  return std::optional(MonitorFds{std::move(connection), std::move(program_), std::move(fds[1]), std::move(fds[2])});
}

}  // namespace fermata::runtime
