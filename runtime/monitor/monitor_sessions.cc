// Sessions: who is attached to a container's streams, and the client's side of execs that stream.
//
// A container is never blocked by who is attached to it: what a client does not read waits here, up to a limit, and
// then the client is cut off. An exec is there for its client alone: nothing is read of it while the client does not.
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cstring>

#include "runtime/base/file.h"
#include "runtime/monitor/monitor.h"

namespace fermata::runtime {
namespace {

constexpr char kEndOfTransmission = 4;

// A terminal has no half to close. Whoever reads lines from it takes this character for the end.
void EndTerminalInput(int terminal) {
  termios settings{};
  if (::tcgetattr(terminal, &settings) != 0 || (settings.c_lflag & ICANON) == 0) return;
  char end = static_cast<char>(settings.c_cc[VEOF]);
  if (end == 0) end = kEndOfTransmission;
  (void)!::write(terminal, &end, 1);
}

void Resize(int terminal, std::string_view content) {
  uint16_t size[2];
  if (content.size() != sizeof size) return;
  std::memcpy(size, content.data(), sizeof size);
  const winsize window{size[1], size[0], 0, 0};
  (void)::ioctl(terminal, TIOCSWINSZ, &window);  // SIGWINCH for who is in front of it
}

}  // namespace

Session& Monitor::AddSession(UniqueFd socket, uint64_t exec_id) {
  const int fd = socket.get();
  Session& session = *(sessions_[fd] = std::make_unique<Session>(std::move(socket), exec_id));
  (void)loop_.Add(fd, EPOLLIN, [this, &session](uint32_t events) { OnSession(session, events); });
  return session;
}

void Monitor::AttachContainer(const MessageReader& message, std::vector<UniqueFd> fds) {
  const uint64_t request = message.request_id();
  Container* container = FindContainer(message.Bytes(Tag::kId));
  if (container == nullptr || container->finished || container->child.state() != Child::State::kRunning) {
    return ReplyError(request, Error::FromErrno(ESRCH, "container is not running"));
  }
  if (fds.empty()) return ReplyError(request, Error::FromErrno(EINVAL, "no session came with the request"));
  Session& session = AddSession(std::move(fds.front()), 0);
  session.container = container->id;
  session.wants[0] = message.Number(Tag::kWantStdin) != 0;
  session.wants[1] = message.Number(Tag::kWantStdout) != 0;
  session.wants[2] = message.Number(Tag::kWantStderr) != 0;
  session.stdin_once = session.wants[0] && message.Number(Tag::kStdinOnce) != 0;
  Reply(request);
}

void Monitor::EndAttachments(Container& container) {
  loop_.Remove(container.child.input());
  const auto code = static_cast<uint32_t>(container.child.exit_code());
  std::vector<Session*> attached;
  for (const auto& [fd, session] : sessions_) {
    if (session->container == container.id && !session->ending) attached.push_back(session.get());
  }
  for (Session* session : attached) {
    session->Send(PacketKind::kExit, {reinterpret_cast<const char*>(&code), sizeof code});
    EndSession(*session);
  }
}

// Which events of its socket are of interest now.
void Monitor::WatchSession(Session& session) {
  uint32_t events = 0;
  if (session.input.empty() && !session.ending) events |= EPOLLIN;
  if (session.blocked()) events |= EPOLLOUT;
  loop_.Modify(session.socket.get(), events);
}

void Monitor::OnSession(Session& session, uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    session.Flush();
    if (session.blocked()) return;
    if (session.ending) return RemoveSession(session);
    if (Exec* exec = session.exec_id == 0 ? nullptr : FindExec(session.exec_id); exec != nullptr) ReadExec(*exec, true);
    return WatchSession(session);
  }
  if ((events & EPOLLIN) != 0) return ReadSession(session);
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) OnSessionGone(session);
}

void Monitor::ReadSession(Session& session) {
  char* data = buffer_.span().data();
  char kind = 0;
  iovec parts[2] = {{&kind, 1}, {data, kReadBytes}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  const ssize_t count = ::recvmsg(session.socket.get(), &message, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return OnSessionGone(session);
  const std::string_view content(data, static_cast<size_t>(count) - 1);
  Child* child = ChildOf(session);
  switch (static_cast<PacketKind>(kind)) {
    case PacketKind::kInput:
      if (child == nullptr || !session.wants[0] || session.input_ends) return;
      session.input = content;
      return TakeInput(session);
    case PacketKind::kInputEnd:
      session.input_ends = true;
      return TakeInput(session);
    case PacketKind::kResize:
      if (child != nullptr && child->has_terminal()) Resize(child->output(0), content);
      return;
    default:
      return;
  }
}

// As much of the input as the process takes now, and its end.
void Monitor::TakeInput(Session& session) {
  Child* child = ChildOf(session);
  const int input = child == nullptr ? -1 : child->input();
  while (!session.input.empty() && input >= 0) {
    const ssize_t count = ::write(input, session.input.data(), session.input.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return WaitForInputRoom(session, input);
    if (count <= 0) break;  // nobody reads any more
    session.input.erase(0, static_cast<size_t>(count));
  }
  session.input = {};
  if (session.input_ends) CloseInputOf(session);
  WatchSession(session);
}

void Monitor::WaitForInputRoom(Session& session, int input) {
  WatchSession(session);
  loop_.Remove(input);
  (void)loop_.Add(input, EPOLLOUT, [this, input, exec_id = session.exec_id, container = session.container](uint32_t) {
    loop_.Remove(input);
    std::vector<Session*> waiting;  // for the same process
    for (const auto& [fd, other] : sessions_) {
      if (!other->input.empty() && other->exec_id == exec_id && other->container == container)
        waiting.push_back(other.get());
    }
    for (Session* one : waiting) TakeInput(*one);
  });
}

// The client has no more input. An attachment's end is the process's only if the container was made so.
void Monitor::CloseInputOf(const Session& session) {
  if (!session.wants[0] || (session.exec_id == 0 && !session.stdin_once)) return;
  Child* child = ChildOf(session);
  if (child == nullptr || child->input() < 0) return;
  if (child->has_terminal()) return EndTerminalInput(child->input());
  loop_.Remove(child->input());
  child->CloseInput();
}

// An exec goes on without its client; what it writes then is read and dropped.
void Monitor::OnSessionGone(Session& session) {
  if (!session.ending) CloseInputOf(session);
  if (Exec* exec = session.exec_id == 0 ? nullptr : FindExec(session.exec_id); exec != nullptr) {
    exec->session = nullptr;
    exec->closed = true;
    if (exec->child.state() == Child::State::kExited) {
      ForgetExec(exec->id);
    } else if (exec->child.state() == Child::State::kRunning || !exec->child.has_terminal()) {
      ReadExec(*exec, true);
    }
  }
  RemoveSession(session);
}

void Monitor::EndSession(Session& session) {
  session.ending = true;
  session.input = {};
  if (!session.blocked()) return RemoveSession(session);
  WatchSession(session);
}

void Monitor::RemoveSession(const Session& session) {
  const int fd = session.socket.get();
  loop_.Remove(fd);
  sessions_.erase(fd);
}

Child* Monitor::ChildOf(const Session& session) {
  if (session.exec_id != 0) {
    Exec* exec = FindExec(session.exec_id);
    return exec == nullptr ? nullptr : &exec->child;
  }
  Container* container = FindContainer(session.container);
  return container == nullptr || container->finished ? nullptr : &container->child;
}

// A socket belongs for ever to the network namespace that it was made in. This thread, our only one, goes there and
// back; nothing else of us cares where it is.
void Monitor::ReplySockets(uint64_t request) {
  if (!pause_made_ || pause_.state() != Child::State::kRunning) {
    return ReplyError(request, Error::FromErrno(ESRCH, "pod is not running"));
  }
  auto own = OpenAt(AT_FDCWD, "/proc/self/ns/net", O_RDONLY);
  if (!own) return ReplyError(request, own.error());
  if (::setns(pause_.pidfd(), CLONE_NEWNET) != 0) return ReplyError(request, Error::Errno("join network namespace"));
  const UniqueFd v4(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int why = errno;
  const UniqueFd v6(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::setns(own->get(), CLONE_NEWNET) != 0) return ReplyError(request, Error::Errno("leave network namespace"));
  if (!v4.valid()) return ReplyError(request, Error::FromErrno(why, "socket"));
  const int fds[] = {v4.get(), v6.get()};
  const std::string message = MessageWriter(MessageType::kReply, request).Finish();
  const std::span<const int> sent(fds, v6.valid() ? 2 : 1);
  if (!queue_.empty() || !SendMessage(fds_.connection.get(), message, sent, MSG_DONTWAIT)) {
    ReplyError(request, Error::FromErrno(EAGAIN, "the daemon reads too slowly"));
  }
}

}  // namespace fermata::runtime
