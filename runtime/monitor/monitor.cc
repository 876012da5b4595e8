#include "runtime/monitor/monitor.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "runtime/base/file.h"
#include "runtime/base/pidfd.h"
#include "runtime/monitor/control_group.h"

namespace fermata::runtime {
namespace {

constexpr size_t kKeptBytes = 4096;  // of the receiving buffer, between messages
constexpr size_t kMaxQueued = 4096;  // replies and events that wait for a daemon that does not read

}  // namespace

Result<> Monitor::Prepare() {
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_NAME, "fermata-monitor");
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return Error::Errno("prctl PR_SET_CHILD_SUBREAPER");
  // Not to be the victim when the node runs out of memory; as far as permitted.
  (void)WriteControl(AT_FDCWD, "/proc/self/oom_score_adj", "-999");
  ASSIGN_OR_RETURN(own_pid_ns_, OpenAt(AT_FDCWD, "/proc/self/ns/pid", O_RDONLY));
  ASSIGN_OR_RETURN(null_, OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  sigset_t signals;
  ::sigfillset(&signals);
  if (::sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return Error::Errno("sigprocmask");
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  signals_.Reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) return Error::Errno("signalfd");
  ASSIGN_OR_RETURN(received_, PageBuffer::Map(kMaxMessageBytes));
  ASSIGN_OR_RETURN(buffer_, PageBuffer::Map(kReadBytes));
  RETURN_IF_ERROR(loop_.Open());
  RETURN_IF_ERROR(loop_.Add(signals_.get(), EPOLLIN, [this](uint32_t) { OnChildSignal(); }));
  RETURN_IF_ERROR(loop_.Add(fds_.listener.get(), EPOLLIN, [this](uint32_t) { OnListener(); }));
  Connect(std::move(fds_.connection));
  return {};
}

Result<> Monitor::Run() {
  RETURN_IF_ERROR(Prepare());
  loop_.Run();
  return {};
}

void Monitor::OnListener() {
  UniqueFd connection(::accept4(fds_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (connection.valid()) Connect(std::move(connection));  // the newest daemon is the daemon
}

void Monitor::Connect(UniqueFd connection) {
  Disconnect();
  fds_.connection = std::move(connection);
  const int fd = fds_.connection.get();
  if (auto added = loop_.Add(fd, EPOLLIN, [this](uint32_t events) { OnConnection(events); }); !added) {
    fds_.connection.Reset();
  }
}

// The daemon is gone: what it waited for is dropped, the pod goes on and a later daemon asks for the state.
void Monitor::Disconnect() {
  if (!fds_.connection.valid()) return;
  loop_.Remove(fds_.connection.get());
  fds_.connection.Reset();
  const bool paused = !queue_.empty();
  queue_.clear();
  if (paused) SetExecReading(true);
  std::vector<uint64_t> ids;
  for (const auto& [id, exec] : execs_) {
    if (exec->session == nullptr) ids.push_back(id);  // a session has a socket of its own, and ends with that
  }
  for (const uint64_t id : ids) CloseExec(id);
}

void Monitor::OnConnection(uint32_t events) {
  if ((events & EPOLLOUT) != 0) FlushQueue();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  auto received = ReceiveMessage(fds_.connection.get(), received_.span(), MSG_DONTWAIT);
  if (!received) {
    if (received.error().saved_errno() != EAGAIN) Disconnect();
    return;
  }
  if (received->data.empty()) return Disconnect();
  const bool large = received->data.size() > kKeptBytes;
  if (const auto message = MessageReader::Parse(received->data)) Dispatch(*message, std::move(received->fds));
  if (large) received_.Discard();
}

void Monitor::Dispatch(const MessageReader& message, std::vector<UniqueFd> fds) {
  const uint64_t request = message.request_id();
  Container* container = FindContainer(message.Bytes(Tag::kId));
  const auto require_container = [&]() {
    if (container == nullptr) ReplyError(request, Error::FromErrno(ENOENT, "container is not known to its monitor"));
    return container != nullptr;
  };
  switch (message.type()) {
    case MessageType::kHello:
      return Send(MessageWriter(MessageType::kReply, request)
                      .Add(Tag::kVersion, kProtocolVersion)
                      .Add(Tag::kFeatures, kFeatureSessions)
                      .Add(Tag::kPid, static_cast<uint64_t>(::getpid()))
                      .Finish());
    case MessageType::kStartPause:
      return StartPause(message, std::move(fds));
    case MessageType::kStartContainer:
      return StartContainer(message, std::move(fds));
    case MessageType::kExec:
      return StartExec(message, std::move(fds));
    case MessageType::kCloseExec:
      CloseExec(message.Number(Tag::kExecId));
      return Reply(request);
    case MessageType::kKillExec:
      if (const Exec* exec = FindExec(message.Number(Tag::kExecId)); exec != nullptr && exec->cgroup.valid()) {
        (void)KillGroup(exec->cgroup.get());
      }
      return Reply(request);
    case MessageType::kAttach:
      return AttachContainer(message, std::move(fds));
    case MessageType::kSockets:
      return ReplySockets(request);
    case MessageType::kSignal:
      if (!require_container()) return;
      (void)::syscall(SYS_pidfd_send_signal, container->child.pidfd(), message.Number(Tag::kSignalNumber), nullptr, 0);
      return Reply(request);
    case MessageType::kKill:
      if (!require_container()) return;
      if (auto killed = KillGroup(container->cgroup.get()); !killed) return ReplyError(request, killed.error());
      return Reply(request);
    case MessageType::kReopenLog:
      if (!require_container()) return;
      if (fds.empty()) return ReplyError(request, Error::FromErrno(EINVAL, "no log file came with the request"));
      container->log.Reopen(std::move(fds.front()));
      return Reply(request);
    case MessageType::kState:
      return ReplyState(request);
    case MessageType::kForget:
      if (container != nullptr && container->finished) containers_.erase(container->id);
      return Reply(request);
    case MessageType::kStop:
      stop_request_ = request;
      return KillAll();
    case MessageType::kQuit:
      Reply(request);
      return loop_.Stop();
    default:
      return ReplyError(request, Error::FromErrno(ENOSYS, "this monitor does not know the request"));
  }
}

bool Monitor::SendNow(const std::string& message) {
  const auto sent = SendMessage(fds_.connection.get(), message, {}, MSG_DONTWAIT);
  if (sent) return true;
  if (sent.error().saved_errno() == EAGAIN) return false;
  return true;  // the peer is gone; the loop will see the end of file
}

void Monitor::Send(const std::string& message) {
  if (!fds_.connection.valid()) return;
  if (queue_.empty() && SendNow(message)) return;
  if (queue_.size() >= kMaxQueued) return Disconnect();
  if (queue_.empty()) {
    loop_.Modify(fds_.connection.get(), EPOLLIN | EPOLLOUT);
    SetExecReading(false);  // back-pressure: the exec blocks instead of us growing
  }
  queue_.push_back(message);
}

void Monitor::FlushQueue() {
  while (!queue_.empty()) {
    if (!SendNow(queue_.front())) return;
    queue_.pop_front();
  }
  loop_.Modify(fds_.connection.get(), EPOLLIN);
  SetExecReading(true);
}

void Monitor::ReplyError(uint64_t request, const Error& error) {
  Send(MessageWriter(MessageType::kErrorReply, request)
           .Add(Tag::kErrno, static_cast<uint64_t>(error.saved_errno()))
           .Add(Tag::kText, error.message())
           .Finish());
}

void Monitor::ReplyFailure(uint64_t request, const ChildFailure& failure) {
  Send(MessageWriter(MessageType::kErrorReply, request)
           .Add(Tag::kStep, uint64_t{failure.step})
           .Add(Tag::kErrno, static_cast<uint64_t>(failure.error))
           .Finish());
}

void Monitor::ReplyState(uint64_t request) {
  MessageWriter reply(MessageType::kReply, request);
  if (pause_made_ && pause_.state() == Child::State::kRunning) {
    reply.Add(Tag::kPid, static_cast<uint64_t>(pause_.pid()));
    if (const auto start = ProcessStartTime(pause_.pid())) reply.Add(Tag::kStartTime, *start);
  }
  for (const auto& [id, container] : containers_) {
    const Child& child = container->child;
    if (child.state() == Child::State::kStarting) continue;
    MessageWriter nested(MessageType::kState, 0);
    nested.Add(Tag::kId, id)
        .Add(Tag::kPid, static_cast<uint64_t>(child.pid()))
        .Add(Tag::kStartedAt, static_cast<uint64_t>(child.started_at_ns()))
        .Add(Tag::kRunning, uint64_t{!container->finished})
        .Add(Tag::kLogDropped, container->log.dropped_bytes());
    if (container->finished) {
      nested.Add(Tag::kExitCode, static_cast<uint64_t>(child.exit_code()))
          .Add(Tag::kOomKilled, uint64_t{container->oom_killed})
          .Add(Tag::kFinishedAt, static_cast<uint64_t>(child.finished_at_ns()));
    }
    reply.Add(Tag::kContainer, nested.tags());
  }
  Send(reply.Finish());
}

Monitor::Container* Monitor::FindContainer(std::string_view id) {
  const auto found = containers_.find(id);
  return found == containers_.end() ? nullptr : found->second.get();
}

Monitor::Exec* Monitor::FindExec(uint64_t id) {
  const auto found = execs_.find(id);
  return found == execs_.end() ? nullptr : found->second.get();
}

}  // namespace fermata::runtime
