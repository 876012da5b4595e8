// Programs that are executed in a container beside its own: starting, passing on what they write, forgetting.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "runtime/base/file.h"
#include "runtime/monitor/control_group.h"
#include "runtime/monitor/monitor.h"

namespace fermata::runtime {

void Monitor::StartExec(const MessageReader& message, std::vector<UniqueFd> fds) {
  const uint64_t request = message.request_id();
  std::string storage;
  auto plan = TakePlan(message, fds, storage);
  if (!plan) return ReplyError(request, plan.error());
  Container* container = FindContainer(message.Bytes(Tag::kId));
  if (container == nullptr || container->child.state() != Child::State::kRunning) {
    return ReplyError(request, Error::FromErrno(ESRCH, "container is not running"));
  }
  if (FindExec(message.Number(Tag::kExecId)) != nullptr) {
    return ReplyError(request, Error::FromErrno(EEXIST, "exec id"));
  }
  const bool streams = message.Has(Tag::kSession);
  if (streams && fds.empty()) return ReplyError(request, Error::FromErrno(EINVAL, "no session came with the request"));
  const Child::Streams wanted{.input = streams && message.Number(Tag::kWantStdin) != 0,
                              .output = true,
                              .terminal = message.Number(Tag::kTerminal) != 0};
  auto exec = std::make_unique<Exec>();
  exec->id = message.Number(Tag::kExecId);
  exec->request = request;
  if (auto launched = LaunchExec(*exec, *container, *plan, wanted); !launched) {
    return ReplyError(request, launched.error());
  }
  Exec& added = *execs_.emplace(exec->id, std::move(exec)).first->second;
  (void)loop_.Add(added.child.report(), EPOLLIN, [this, &added](uint32_t) {
    OnExecReport(added);
    SettleReaped();
  });
  if (streams) {
    Session& session = AddSession(std::move(fds.front()), added.id);
    added.session = &session;
    session.wants[0] = wanted.input;
    session.wants[1] = session.wants[2] = true;
    if (!wanted.terminal) ReadExec(added, true);
  } else if (queue_.empty()) {
    ReadExec(added, true);
  }
}

// On failure nothing of it is left.
Result<> Monitor::LaunchExec(Exec& exec, const Container& container, const PlanView& plan, Child::Streams streams) {
  exec.cgroup_name = "exec-" + std::to_string(exec.id);
  exec.parent_cgroup.Reset(::fcntl(container.cgroup.get(), F_DUPFD_CLOEXEC, 0));
  ASSIGN_OR_RETURN(exec.cgroup, MakeDirectories(container.cgroup.get(), exec.cgroup_name));
  LaunchFds launch = NewLaunch(exec.cgroup.get());
  launch.join = launch.pid_join = container.child.pidfd();
  auto made = exec.child.Launch(plan, launch, streams);
  if (!made) RemoveExecGroup(exec);
  return made;
}

// Starts or ends reading of what it writes.
void Monitor::ReadExec(Exec& exec, bool on) {
  for (size_t stream = 0; stream < 2; ++stream) {
    const int fd = exec.child.output(stream);
    if (fd < 0) continue;
    loop_.Remove(fd);
    if (on) (void)loop_.Add(fd, EPOLLIN, [this, &exec, stream](uint32_t) { ForwardExecOutput(exec, stream); });
  }
}

void Monitor::OnExecReport(Exec& exec) {
  if (exec.child.report() < 0 || !exec.child.ReadReport()) return;
  loop_.Remove(exec.child.report());
  exec.child.CloseReport();
  if (exec.child.failed()) return ReplyFailure(exec.request, exec.child.failure());
  MessageWriter reply(MessageType::kReply, exec.request);
  Send(reply.Add(Tag::kPid, static_cast<uint64_t>(exec.child.pid())).Finish());
  if (exec.child.has_terminal()) ReadExec(exec, true);
}

// Passes on one piece of output; false when there is none now.
bool Monitor::ForwardExecOutput(Exec& exec, size_t stream) {
  const ssize_t count = ::read(exec.child.output(stream), buffer_.span().data(), kReadBytes);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count <= 0) {
    CloseExecOutput(exec, stream);
    return false;
  }
  if (exec.closed) return true;
  if (exec.session != nullptr) {
    exec.session->Send(stream == 0 ? PacketKind::kOutput : PacketKind::kErrorOutput,
                       {buffer_.span().data(), static_cast<size_t>(count)});
    if (exec.session->blocked()) {
      ReadExec(exec, false);  // back-pressure: the process waits for its reader, and nothing is lost
      WatchSession(*exec.session);
    }
    return true;
  }
  MessageWriter output(MessageType::kExecOutput, 0);
  Send(output.Add(Tag::kExecId, exec.id)
           .Add(Tag::kStream, stream + 1)
           .Add(Tag::kData, std::string_view(buffer_.span().data(), static_cast<size_t>(count)))
           .Finish());
  return true;
}

// What the exec had written when it ended goes out before its exit code, unless the daemon reads too slowly.
void Monitor::DrainExec(Exec& exec) {
  for (size_t stream = 0; stream < 2; ++stream) {
    const auto room = [&] { return exec.session == nullptr ? queue_.empty() : !exec.session->blocked(); };
    while (room() && exec.child.output(stream) >= 0 && ForwardExecOutput(exec, stream)) {
    }
  }
}

void Monitor::CloseExecOutput(Exec& exec, size_t stream) {
  loop_.Remove(exec.child.output(stream));
  exec.child.CloseOutput(stream);
  if (exec.child.output(0) >= 0 || exec.child.output(1) >= 0 || !exec.reported) return;
  if (exec.session != nullptr) return EndExecSession(exec);
  Send(MessageWriter(MessageType::kExecEof, 0).Add(Tag::kExecId, exec.id).Finish());
}

void Monitor::SetExecReading(bool on) {
  for (const auto& [id, exec] : execs_) {
    if (exec->session == nullptr) ReadExec(*exec, on);
  }
}

void Monitor::OnExecExit(Exec& exec) {
  RemoveExecGroup(exec);
  if (exec.closed || exec.child.failed()) return ForgetExec(exec.id);
  DrainExec(exec);
  exec.reported = true;
  const bool eof = exec.child.output(0) < 0 && exec.child.output(1) < 0;
  if (exec.session != nullptr) {
    const auto code = static_cast<uint32_t>(exec.child.exit_code());
    exec.session->Send(PacketKind::kExit, {reinterpret_cast<const char*>(&code), sizeof code});
    if (eof) return EndExecSession(exec);
    return WatchSession(*exec.session);
  }
  MessageWriter exited(MessageType::kExecExited, 0);
  Send(exited.Add(Tag::kExecId, exec.id)
           .Add(Tag::kExitCode, static_cast<uint64_t>(exec.child.exit_code()))
           .Add(Tag::kEof, uint64_t{eof})
           .Finish());
}

// The group of an exec goes when it is empty; orphans may live on in it (design: they are not ours to kill).
void Monitor::RemoveExecGroup(Exec& exec) {
  if (!exec.cgroup.valid()) return;
  const int removed = ::unlinkat(exec.parent_cgroup.get(), exec.cgroup_name.c_str(), AT_REMOVEDIR);
  if (removed != 0 && errno == EBUSY) return LingerExecGroup(exec);
  exec.cgroup.Reset();
}

void Monitor::LingerExecGroup(Exec& exec) {
  auto events = OpenGroupEvents(exec.cgroup.get());
  if (!events) return;
  exec.cgroup.Reset();
  const int fd = events->get();
  lingering_[fd] = {UniqueFd(::fcntl(exec.parent_cgroup.get(), F_DUPFD_CLOEXEC, 0)), exec.cgroup_name,
                    std::move(*events)};
  const auto remove_if_empty = [this, fd](uint32_t) {
    const Lingering& group = lingering_[fd];
    if (GroupPopulated(fd)) return;
    loop_.Remove(fd);
    (void)::unlinkat(group.parent_cgroup.get(), group.name.c_str(), AT_REMOVEDIR);
    lingering_.erase(fd);
  };
  (void)loop_.Add(fd, EPOLLPRI, remove_if_empty);
  remove_if_empty(0);  // it may have become empty before we listened
}

void Monitor::CloseExec(uint64_t id) {
  Exec* exec = FindExec(id);
  if (exec == nullptr) return;
  exec->closed = true;
  if (exec->child.state() == Child::State::kExited) ForgetExec(id);
}

// The process has ended and so has its output: the session goes once all is sent.
void Monitor::EndExecSession(Exec& exec) {
  Session& session = *std::exchange(exec.session, nullptr);
  ForgetExec(exec.id);
  session.exec_id = 0;
  EndSession(session);
}

void Monitor::ForgetExec(uint64_t id) {
  Exec* exec = FindExec(id);
  if (exec == nullptr) return;
  for (size_t stream = 0; stream < 2; ++stream) loop_.Remove(exec->child.output(stream));
  loop_.Remove(exec->child.report());
  loop_.Remove(exec->child.input());
  if (exec->session != nullptr) RemoveSession(*exec->session);
  execs_.erase(id);
}

}  // namespace fermata::runtime
