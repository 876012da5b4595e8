// The processes of a monitor: starting, reading what they write, reaping.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "runtime/base/file.h"
#include "runtime/base/pidfd.h"
#include "runtime/monitor/control_group.h"
#include "runtime/monitor/exit_record.h"
#include "runtime/monitor/monitor.h"

namespace fermata::runtime {
namespace {

int ExitCodeOf(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

}  // namespace

Result<PlanView> Monitor::TakePlan(const MessageReader& message, std::vector<UniqueFd>& fds, std::string& storage) {
  std::string_view data = message.Bytes(Tag::kPlan);
  if (message.Has(Tag::kPlanInFd)) {
    if (fds.empty()) return Error::FromErrno(EINVAL, "launch plan: no file");
    const UniqueFd file = std::move(fds.back());
    fds.pop_back();
    if (::lseek(file.get(), 0, SEEK_SET) != 0) return Error::Errno("launch plan: seek");
    ASSIGN_OR_RETURN(storage, ReadAll(file.get(), kMaxPlanBytes), "launch plan");
    data = storage;
  } else if (reinterpret_cast<uintptr_t>(data.data()) % alignof(PlanStep) != 0) {
    storage = data;
    data = storage;
  }
  const auto plan = std::as_bytes(std::span(data));
  if (!ValidatePlan(plan)) return Error::FromErrno(EINVAL, "launch plan");
  return PlanView(plan);
}

LaunchFds Monitor::NewLaunch(int cgroup) const {
  LaunchFds launch;
  launch.standard[0] = null_.get();
  launch.cgroup = cgroup;
  launch.own_pid_ns = own_pid_ns_.get();
  launch.pod_user_ns = pod_user_ns_.get();
  return launch;
}

void Monitor::StartPause(const MessageReader& message, std::vector<UniqueFd> fds) {
  std::string storage;
  auto plan = TakePlan(message, fds, storage);
  if (!plan) return ReplyError(message.request_id(), plan.error());
  if (pause_made_ || fds.empty()) return ReplyError(message.request_id(), Error::FromErrno(EINVAL, "start pause"));
  pause_cgroup_ = std::move(fds.front());
  LaunchFds launch = NewLaunch(pause_cgroup_.get());
  launch.program = fds_.program.get();
  if (auto made = pause_.Launch(*plan, launch, {}); !made) {
    return ReplyError(message.request_id(), made.error());
  }
  // Its only one, if it has any, is what the pod's containers join and their layers are mapped with.
  for (UniqueFd& user_ns : pause_.TakeUserNamespaces()) pod_user_ns_ = std::move(user_ns);
  pause_made_ = true;
  pause_request_ = message.request_id();
  (void)loop_.Add(pause_.report(), EPOLLIN, [this](uint32_t) {
    OnPauseReport();
    SettleReaped();
  });
}

void Monitor::OnPauseReport() {
  if (pause_.report() < 0 || !pause_.ReadReport()) return;
  loop_.Remove(pause_.report());
  pause_.CloseReport();
  if (pause_.failed()) return ReplyFailure(pause_request_, pause_.failure());
  MessageWriter reply(MessageType::kReply, pause_request_);
  reply.Add(Tag::kPid, static_cast<uint64_t>(pause_.pid()));
  if (const auto start = ProcessStartTime(pause_.pid())) reply.Add(Tag::kStartTime, *start);
  Send(reply.Finish());
}

void Monitor::StartContainer(const MessageReader& message, std::vector<UniqueFd> fds) {
  const uint64_t request = message.request_id();
  std::string storage;
  auto plan = TakePlan(message, fds, storage);
  if (!plan) return ReplyError(request, plan.error());
  const std::string id(message.Bytes(Tag::kId));
  if (fds.empty() || id.empty() || FindContainer(id) != nullptr || stopping_ || !pause_made_ ||
      (message.Has(Tag::kPidTarget) && FindContainer(message.Bytes(Tag::kPidTarget)) == nullptr)) {
    return ReplyError(request, Error::FromErrno(EINVAL, "start container"));
  }
  auto container = std::make_unique<Container>();
  container->id = id;
  container->start_request = request;
  container->cgroup = std::move(fds[0]);
  if (fds.size() > 1) container->log = LogWriter(std::move(fds[1]));
  if (auto events = OpenGroupEvents(container->cgroup.get())) container->cgroup_events = std::move(*events);
  const Container* target = FindContainer(message.Bytes(Tag::kPidTarget));
  LaunchFds launch = NewLaunch(container->cgroup.get());
  launch.join = pause_.pidfd();
  launch.pid_join = target == nullptr ? pause_.pidfd() : target->child.pidfd();
  const Child::Streams streams{
      .input = message.Number(Tag::kWantStdin) != 0, .output = true, .terminal = message.Number(Tag::kTerminal) != 0};
  if (auto made = container->child.Launch(*plan, launch, streams); !made) {
    return ReplyError(request, made.error());
  }
  Container& added = *containers_.emplace(id, std::move(container)).first->second;
  (void)loop_.Add(added.child.report(), EPOLLIN, [this, &added](uint32_t) {
    OnContainerReport(added);
    SettleReaped();
  });
  if (!streams.terminal) WatchContainerOutput(added);
}

void Monitor::WatchContainerOutput(Container& container) {
  for (size_t stream = 0; stream < 2; ++stream) {
    const int fd = container.child.output(stream);
    if (fd < 0) continue;
    (void)loop_.Add(fd, EPOLLIN, [this, &container, stream](uint32_t) { OnContainerOutput(container, stream); });
  }
}

void Monitor::OnContainerReport(Container& container) {
  if (container.child.report() < 0 || !container.child.ReadReport()) return;
  loop_.Remove(container.child.report());
  container.child.CloseReport();
  if (container.child.failed()) {
    ReplyFailure(container.start_request, container.child.failure());
    return;  // it ends with 127; OnReaped drops the entry
  }
  MessageWriter reply(MessageType::kReply, container.start_request);
  reply.Add(Tag::kPid, static_cast<uint64_t>(container.child.pid()))
      .Add(Tag::kStartedAt, static_cast<uint64_t>(container.child.started_at_ns()));
  Send(reply.Finish());
  if (container.child.has_terminal()) WatchContainerOutput(container);
}

void Monitor::OnContainerOutput(Container& container, size_t stream) {
  const ssize_t count = ::read(container.child.output(stream), buffer_.span().data(), kReadBytes);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return CloseContainerOutput(container, stream);
  TakeContainerOutput(container, stream, {buffer_.span().data(), static_cast<size_t>(count)});
}

// To the log, and to who is attached; one that lies too far behind is cut off.
void Monitor::TakeContainerOutput(Container& container, size_t stream, std::string_view data) {
  container.log.Write(static_cast<Stream>(stream), data);
  std::vector<Session*> slow;
  for (const auto& [fd, session] : sessions_) {
    if (session->container != container.id || session->ending || !session->wants[stream + 1]) continue;
    session->Send(stream == 0 ? PacketKind::kOutput : PacketKind::kErrorOutput, data);
    if (session->pending_bytes > kMaxPendingBytes) slow.push_back(session.get());
    if (session->blocked()) WatchSession(*session);
  }
  for (Session* session : slow) OnSessionGone(*session);
}

void Monitor::CloseContainerOutput(Container& container, size_t stream) {
  if (container.child.output(stream) < 0) return;
  loop_.Remove(container.child.output(stream));
  container.child.CloseOutput(stream);
  container.log.End(static_cast<Stream>(stream));
}

void Monitor::OnChildSignal() {
  signalfd_siginfo ignored;
  while (::read(signals_.get(), &ignored, sizeof ignored) == sizeof ignored) {
  }
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) break;
    reaped_.push_back({pid, status});
  }
  SettleReaped();
  StopIfEmpty();
}

// As subreaper and parent we may get any pid. One that is unknown is an orphan of the pod, or a second stage that was
// faster than the word of it from the first: those wait in `reaped_` while a start is under way.
void Monitor::SettleReaped() {
  for (bool settled = true; settled;) {
    settled = std::erase_if(reaped_, [this](const Reaped& one) { return OnReaped(one.pid, one.status); }) > 0;
  }
  if (!IsStarting()) reaped_.clear();
}

bool Monitor::IsStarting() const {
  const auto starting = [](const auto& entry) { return entry.second->child.state() == Child::State::kStarting; };
  return (pause_made_ && pause_.state() == Child::State::kStarting) || std::ranges::any_of(containers_, starting) ||
         std::ranges::any_of(execs_, starting);
}

// False if it is none of ours, as far as we know.
bool Monitor::OnReaped(pid_t pid, int status) {
  if (pause_made_ && pause_.pid() == pid) {
    OnPauseReport();  // a first stage ends here, as below
    if (pause_.pid() != pid) return true;
    pause_.SetExited(ExitCodeOf(status));
    OnPauseExit();
    return true;
  }
  for (auto& [id, container] : containers_) {
    if (container->child.pid() != pid) continue;
    OnContainerReport(*container);  // a first stage ends here: the child is another process now
    if (container->child.pid() != pid) return true;
    container->child.SetExited(ExitCodeOf(status));
    OnContainerExit(*container);
    return true;
  }
  for (auto& [id, exec] : execs_) {
    if (exec->child.pid() != pid) continue;
    OnExecReport(*exec);
    if (exec->child.pid() != pid) return true;
    exec->child.SetExited(ExitCodeOf(status));
    OnExecExit(*exec);
    return true;
  }
  return false;
}

void Monitor::OnPauseExit() {
  if (pause_.failed() || stopping_) return;
  Send(MessageWriter(MessageType::kPauseExited, 0)
           .Add(Tag::kExitCode, static_cast<uint64_t>(pause_.exit_code()))
           .Finish());
}

// The first process has ended: what it left in its group goes too, then the log is completed, then it is told.
void Monitor::OnContainerExit(Container& container) {
  (void)KillGroup(container.cgroup.get());
  const int events = container.cgroup_events.get();
  if (events < 0 || !GroupPopulated(events)) return FinishContainer(container);
  (void)loop_.Add(events, EPOLLPRI, [this, &container](uint32_t) {
    if (GroupPopulated(container.cgroup_events.get())) return;
    loop_.Remove(container.cgroup_events.get());
    FinishContainer(container);
    StopIfEmpty();
  });
  if (!GroupPopulated(events)) {  // it became empty before we listened
    loop_.Remove(events);
    FinishContainer(container);
  }
}

void Monitor::FinishContainer(Container& container) {
  for (size_t stream = 0; stream < 2; ++stream) {
    // All writers in the group are gone; what another holder of the pipe writes later belongs to nobody.
    for (;;) {
      const ssize_t count = container.child.output(stream) < 0
                                ? 0
                                : ::read(container.child.output(stream), buffer_.span().data(), kReadBytes);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      TakeContainerOutput(container, stream, {buffer_.span().data(), static_cast<size_t>(count)});
    }
    CloseContainerOutput(container, stream);
  }
  EndAttachments(container);
  container.finished = true;
  const Child& child = container.child;
  if (child.failed()) {  // never ran: no exit to record
    containers_.erase(container.id);
    return;
  }
  container.oom_killed = GroupHadOomKill(container.cgroup.get());
  const ExitRecord record = MakeExitRecord(container.id, child.exit_code(), container.oom_killed, child.started_at_ns(),
                                           child.finished_at_ns());
  (void)WriteAll(fds_.exits.get(), {reinterpret_cast<const char*>(&record), sizeof record});
  MessageWriter exited(MessageType::kExited, 0);
  Send(exited.Add(Tag::kId, container.id)
           .Add(Tag::kExitCode, static_cast<uint64_t>(child.exit_code()))
           .Add(Tag::kOomKilled, uint64_t{container.oom_killed})
           .Add(Tag::kStartedAt, static_cast<uint64_t>(child.started_at_ns()))
           .Add(Tag::kFinishedAt, static_cast<uint64_t>(child.finished_at_ns()))
           .Finish());
}

void Monitor::KillAll() {
  stopping_ = true;
  for (const auto& [id, container] : containers_) (void)KillGroup(container->cgroup.get());
  if (pause_made_ && pause_.state() != Child::State::kExited) {
    (void)KillGroup(pause_cgroup_.get());
    (void)::syscall(SYS_pidfd_send_signal, pause_.pidfd(), SIGKILL, nullptr, 0);
  }
  StopIfEmpty();
}

void Monitor::StopIfEmpty() {
  if (!stopping_ || stop_request_ == 0) return;
  if (pause_made_ && pause_.state() != Child::State::kExited) return;
  for (const auto& [id, container] : containers_) {
    if (!container->finished) return;
  }
  Reply(stop_request_);
  stop_request_ = 0;
}

}  // namespace fermata::runtime
