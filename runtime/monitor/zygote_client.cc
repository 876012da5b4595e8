#include "runtime/monitor/zygote_client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>

#include "runtime/base/file.h"
#include "runtime/base/socket.h"
#include "runtime/base/spawn.h"
#include "runtime/monitor/protocol.h"

namespace fermata::runtime {
namespace {

constexpr timeval kReplyDeadline{20, 0};

// What the zygote, or nobody, answers on the connection of the monitor that is to be.
Result<ForkedMonitor> ReceiveFork(UniqueFd connection) {
  if (::setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &kReplyDeadline, sizeof kReplyDeadline) != 0) {
    return Error::Errno("setsockopt");
  }
  std::array<char, 4096> buffer;
  auto received = ReceiveMessage(connection.get(), buffer);
  if (!received) return std::move(received).error().WithCode(ErrorCode::kUnavailable);
  const auto message = MessageReader::Parse(received->data);
  if (!message) return Error::Make(ErrorCode::kUnavailable, "the zygote is gone");
  if (message->type() == MessageType::kErrorReply) {
    return Error(ErrorCode::kInternal, std::string(message->Bytes(Tag::kText)),
                 static_cast<int>(message->Number(Tag::kErrno)));
  }
  if (received->fds.size() != 1) return Error::Make(ErrorCode::kInternal, "the zygote sent no handle");
  return ForkedMonitor{static_cast<pid_t>(message->Number(Tag::kPid)), Pidfd(std::move(received->fds.front())),
                       std::move(connection)};
}

}  // namespace

// Ends the process and reaps it when the last who uses it is done.
class ZygoteClient::Process {
 public:
  Process(UniqueFd socket, Pidfd pidfd) : socket_(std::move(socket)), pidfd_(std::move(pidfd)) {}
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    socket_.Reset();
    (void)Reap(pidfd_);
  }
  [[nodiscard]] int socket() const { return socket_.get(); }

 private:
  UniqueFd socket_;
  Pidfd pidfd_;
};

Result<std::shared_ptr<ZygoteClient::Process>> ZygoteClient::Get() {
  const std::lock_guard lock(mutex_);
  if (process_ != nullptr) return process_;
  ASSIGN_OR_RETURN(auto pair, SeqpacketPair());
  ASSIGN_OR_RETURN(const UniqueFd null, OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  SpawnOptions options;
  options.executable_fd = programs_.monitor.get();
  options.arguments = {"fermata-monitor"};
  options.fds = {{null.get(), 0}, {null.get(), 1}, {null.get(), 2}, {pair.second.get(), 3}, {programs_.pause.get(), 4}};
  ASSIGN_OR_RETURN(SpawnedProcess spawned, Spawn(options));
  process_ = std::make_shared<Process>(std::move(pair.first), std::move(spawned.pidfd));
  return process_;
}

void ZygoteClient::Drop(const std::shared_ptr<Process>& process) {
  const std::lock_guard lock(mutex_);
  if (process_ == process) process_ = nullptr;
}

Result<ForkedMonitor> ZygoteClient::Fork(int listener, int exits, int cgroup_fd) {
  Error last = Error::Make(ErrorCode::kUnavailable, "no zygote");
  for (int attempt = 0; attempt < 2; ++attempt) {  // the second with a new zygote
    ASSIGN_OR_RETURN(const std::shared_ptr<Process> zygote, Get());
    ASSIGN_OR_RETURN(auto pair, SeqpacketPair());
    const std::array<int, 4> fds = {pair.second.get(), listener, exits, cgroup_fd};
    MessageWriter message(MessageType::kFork, 0);
    const Result<> sent = SendMessage(zygote->socket(), message.Finish(), fds);
    pair.second.Reset();  // the last of its kind is with the zygote now: if that dies, we read the end of file
    Result<ForkedMonitor> forked = sent ? ReceiveFork(std::move(pair.first)) : Result<ForkedMonitor>(sent.error());
    if (forked || (sent && forked.error().code() != ErrorCode::kUnavailable)) return forked;
    Drop(zygote);
    last = std::move(forked).error();
  }
  return std::move(last).Wrap("fork monitor");
}

}  // namespace fermata::runtime
