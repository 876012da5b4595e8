#include "runtime/monitor/client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "runtime/base/file.h"
#include "runtime/base/memfd.h"
#include "runtime/base/spawn.h"

namespace fermata::runtime {
namespace {

constexpr const char* kSocketName = "monitor.sock";
constexpr const char* kExitsName = "exits";
constexpr auto kReplyDeadline = std::chrono::seconds(20);
constexpr auto kQuietAfterExit = std::chrono::milliseconds(250);  // design.md 10.12
constexpr auto kLongestAfterExit = std::chrono::seconds(10);      // X-02 of the threat table
constexpr size_t kMaxInlinePlan = kMaxMessageBytes - 4096;

// What the caller asked for cannot be executed: its mistake, with the words that users know from elsewhere.
Error ExecutionError(const std::string& label, int error) {
  const std::string program = label.substr(label.find(' ') + 1);
  if (error == ENOENT && program.find('/') == std::string::npos) {
    return Error::Make(ErrorCode::kInvalidArgument, "exec: \"", program, "\": executable file not found in $PATH");
  }
  return Error::FromErrno(error, "exec: \"", program, "\"").WithCode(ErrorCode::kInvalidArgument);
}

// Whether a step failed because of a path that the caller chose: a mount's source or target, a directory.
bool IsBadPath(Op op, int error) {
  if (op != Op::kOpenTree && op != Op::kOpenTarget && op != Op::kMoveMount && op != Op::kChangeDirectory &&
      op != Op::kChangeDirectoryHost) {
    return false;
  }
  return error == ENOENT || error == ENOTDIR || error == EISDIR || error == ELOOP || error == EXDEV ||
         error == ENAMETOOLONG || error == EACCES;
}

Error ErrorOf(const MessageReader& message, const LaunchPlan* plan) {
  const auto error = static_cast<int>(message.Number(Tag::kErrno));
  if (plan != nullptr && message.Has(Tag::kStep)) {
    const auto step = static_cast<uint32_t>(message.Number(Tag::kStep));
    if (step >= plan->view().steps().size()) return ExecutionError(plan->Describe(step), error);
    Error failed = Error::FromErrno(error, plan->Describe(step));
    return IsBadPath(plan->view().steps()[step].op, error) ? std::move(failed).WithCode(ErrorCode::kInvalidArgument)
                                                           : failed;
  }
  const ErrorCode code = error == ESRCH || error == ENOMEM ? ErrorCode::kFailedPrecondition : ErrorCode::kInternal;
  return {code, std::string(message.Bytes(Tag::kText)), error};
}

ContainerExit ExitOf(const MessageReader& message) {
  return {std::string(message.Bytes(Tag::kId)), static_cast<int>(message.Number(Tag::kExitCode)),
          message.Number(Tag::kOomKilled) != 0, static_cast<int64_t>(message.Number(Tag::kStartedAt)),
          static_cast<int64_t>(message.Number(Tag::kFinishedAt))};
}

// A monitor that does not read must not hold a thread of ours for ever.
void SetSendDeadline(int socket) {
  const timeval deadline{10, 0};
  (void)::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
}

}  // namespace

Result<std::shared_ptr<MonitorClient>> MonitorClient::Start(Reactor& reactor, ZygoteClient& zygote, int run_dir,
                                                            int cgroup_fd, MonitorEvents events) {
  ASSIGN_OR_RETURN(const UniqueFd listener, SeqpacketListen(run_dir, kSocketName));
  ASSIGN_OR_RETURN(const UniqueFd exits, OpenAt(run_dir, kExitsName, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  ASSIGN_OR_RETURN(ForkedMonitor forked, zygote.Fork(listener.get(), exits.get(), cgroup_fd));
  std::shared_ptr<MonitorClient> client(new MonitorClient(reactor, std::move(forked.connection), std::move(events)));
  client->process_ = std::move(forked.process);
  client->pid_ = forked.pid;
  client->ours_ = true;
  RETURN_IF_ERROR(client->Attach());
  return client;
}

Result<std::shared_ptr<MonitorClient>> MonitorClient::Connect(Reactor& reactor, int run_dir, MonitorEvents events) {
  auto socket = SeqpacketConnect(run_dir, kSocketName);
  if (!socket) return std::move(socket).error().Wrap("connect to monitor").WithCode(ErrorCode::kUnavailable);
  std::shared_ptr<MonitorClient> client(new MonitorClient(reactor, std::move(*socket), std::move(events)));
  RETURN_IF_ERROR(client->Attach());
  const uint64_t request = client->NextId();
  MessageWriter hello(MessageType::kHello, request);
  hello.Add(Tag::kVersion, kProtocolVersion);
  ASSIGN_OR_RETURN(const std::string data, client->Request(hello, request, {}, nullptr), "greet monitor");
  client->pid_ = static_cast<pid_t>(MessageReader::Parse(data)->Number(Tag::kPid));
  client->features_ = MessageReader::Parse(data)->Number(Tag::kFeatures);
  ASSIGN_OR_RETURN(client->process_, Pidfd::Open(client->pid_));
  return client;
}

Result<> MonitorClient::Attach() {
  SetSendDeadline(socket_.get());
  return reactor_.Add(socket_.get(), weak_from_this());
}

MonitorClient::~MonitorClient() {
  reactor_.Remove(socket_.get());
  // A monitor that has ended would stay a zombie; one that runs becomes init's child when we end.
  if (ours_ && process_.valid() && process_.WaitExited(0)) (void)Reap(process_);
}

uint64_t MonitorClient::NextId() {
  const std::lock_guard lock(mutex_);
  return ++next_id_;
}

Result<std::string> MonitorClient::Request(MessageWriter& message, uint64_t request, std::span<const int> fds,
                                           const LaunchPlan* plan, std::vector<UniqueFd>* received) {
  {
    const std::lock_guard lock(mutex_);
    if (lost_) return Error::Make(ErrorCode::kUnavailable, "the monitor is gone");
    replies_[request] = {};
  }
  Result<> sent = SendMessage(socket_.get(), message.Finish(), fds);
  std::unique_lock lock(mutex_);
  Reply& reply = replies_[request];
  if (sent) changed_.wait_for(lock, kReplyDeadline, [&] { return reply.done || lost_; });
  const bool done = reply.done;
  std::string data = std::move(reply.data);
  if (received != nullptr) *received = std::move(reply.fds);
  const bool lost = lost_;
  replies_.erase(request);
  lock.unlock();
  if (!sent) return std::move(sent).error().Wrap("send to monitor").WithCode(ErrorCode::kUnavailable);
  if (!done) {
    return Error::Make(ErrorCode::kUnavailable, lost ? "the monitor is gone" : "the monitor does not answer");
  }
  const auto parsed = MessageReader::Parse(data);
  if (parsed->type() == MessageType::kErrorReply) return ErrorOf(*parsed, plan);
  return data;
}

Result<std::string> MonitorClient::RequestWithPlan(MessageWriter& message, uint64_t request, std::vector<int> fds,
                                                   const LaunchPlan& plan) {
  const std::string_view bytes(reinterpret_cast<const char*>(plan.bytes().data()), plan.bytes().size());
  UniqueFd file;
  if (bytes.size() <= kMaxInlinePlan) {
    message.Add(Tag::kPlan, bytes);
  } else {
    ASSIGN_OR_RETURN(file, SealedData("launch-plan", bytes));
    message.Add(Tag::kPlanInFd, uint64_t{1});
    fds.push_back(file.get());
  }
  return Request(message, request, fds, &plan);
}

Result<pid_t> MonitorClient::StartPause(const LaunchPlan& plan, int cgroup_fd) {
  const uint64_t request = NextId();
  MessageWriter message(MessageType::kStartPause, request);
  ASSIGN_OR_RETURN(const std::string data, RequestWithPlan(message, request, {cgroup_fd}, plan));
  return static_cast<pid_t>(MessageReader::Parse(data)->Number(Tag::kPid));
}

Result<StartedProcess> MonitorClient::StartContainer(const std::string& id, const LaunchPlan& plan,
                                                     const ContainerStart& start) {
  const uint64_t request = NextId();
  MessageWriter message(MessageType::kStartContainer, request);
  if (start.terminal) RETURN_IF_ERROR(RequireSessions());
  message.Add(Tag::kId, id).Add(Tag::kWantStdin, uint64_t{start.want_stdin});
  if (start.terminal) message.Add(Tag::kTerminal, uint64_t{1});
  if (!start.pid_target.empty()) message.Add(Tag::kPidTarget, start.pid_target);
  std::vector<int> fds = {start.cgroup_fd};
  if (start.log_fd >= 0) fds.push_back(start.log_fd);
  ASSIGN_OR_RETURN(const std::string data, RequestWithPlan(message, request, std::move(fds), plan));
  const auto reply = MessageReader::Parse(data);
  return StartedProcess{static_cast<pid_t>(reply->Number(Tag::kPid)),
                        static_cast<int64_t>(reply->Number(Tag::kStartedAt))};
}

Result<ExecResult> MonitorClient::Exec(const std::string& id, const LaunchPlan& plan, Duration timeout) {
  const uint64_t exec_id = NextId();
  ExecState state;
  {
    const std::lock_guard lock(mutex_);
    execs_[exec_id] = &state;  // before the request: output may come with the reply
  }
  MessageWriter message(MessageType::kExec, exec_id);
  message.Add(Tag::kId, id).Add(Tag::kExecId, exec_id);
  Result<> done;
  if (auto started = RequestWithPlan(message, exec_id, {}, plan); !started) {
    done = std::move(started).error();
  } else {
    done = WaitExec(exec_id, state, timeout);
    FinishExec(exec_id);
  }
  {
    const std::lock_guard lock(mutex_);
    execs_.erase(exec_id);
  }
  if (!done) return std::move(done).error();
  return std::move(state.result);
}

// Until the exit and then end of file, or a quarter of a second without output: what the program left in the
// background may hold its pipes for ever.
Result<> MonitorClient::WaitExec(uint64_t exec_id, ExecState& state, Duration timeout) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = timeout.count() > 0 ? Clock::now() + timeout : Clock::time_point::max();
  std::unique_lock lock(mutex_);
  const auto finished = [&] { return lost_ || (state.exited && state.eof); };
  while (!finished()) {
    if (state.exited) {
      const auto quiet = std::min(state.last_output + kQuietAfterExit, state.exited_at + kLongestAfterExit);
      if (Clock::now() >= quiet) break;
      (void)changed_.wait_until(lock, quiet);
    } else if (deadline == Clock::time_point::max()) {
      changed_.wait(lock);
    } else if (changed_.wait_until(lock, deadline) == std::cv_status::timeout && !state.exited) {
      lock.unlock();
      const uint64_t request = NextId();
      MessageWriter kill(MessageType::kKillExec, request);
      RETURN_IF_ERROR(Request(kill.Add(Tag::kExecId, exec_id), request, {}, nullptr), "kill timed out command");
      lock.lock();
      // The answer means: nothing of it runs any more.
      changed_.wait_for(lock, kReplyDeadline, [&] { return lost_ || state.exited; });
      return Error::Make(ErrorCode::kDeadlineExceeded, "command timed out after ", std::to_string(timeout.count()),
                         " ms");
    }
  }
  if (lost_) return Error::Make(ErrorCode::kUnavailable, "the monitor is gone");
  return {};
}

void MonitorClient::FinishExec(uint64_t exec_id) {
  MessageWriter close(MessageType::kCloseExec, 0);
  close.Add(Tag::kExecId, exec_id);
  (void)SendMessage(socket_.get(), close.Finish());  // nobody waits for this; a lost monitor needs no telling
}

Result<> MonitorClient::Simple(MessageType type, const std::string& id) {
  const uint64_t request = NextId();
  MessageWriter message(type, request);
  RETURN_IF_ERROR(Request(message.Add(Tag::kId, id), request, {}, nullptr));
  return {};
}

Result<> MonitorClient::Signal(const std::string& id, int signal) {
  const uint64_t request = NextId();
  MessageWriter message(MessageType::kSignal, request);
  message.Add(Tag::kId, id).Add(Tag::kSignalNumber, static_cast<uint64_t>(signal));
  RETURN_IF_ERROR(Request(message, request, {}, nullptr));
  return {};
}

Result<> MonitorClient::Kill(const std::string& id) { return Simple(MessageType::kKill, id); }
Result<> MonitorClient::Forget(const std::string& id) { return Simple(MessageType::kForget, id); }
Result<> MonitorClient::Stop() { return Simple(MessageType::kStop, ""); }

Result<> MonitorClient::ReopenLog(const std::string& id, int log_fd) {
  const uint64_t request = NextId();
  MessageWriter message(MessageType::kReopenLog, request);
  const std::array fds = {log_fd};
  RETURN_IF_ERROR(Request(message.Add(Tag::kId, id), request, fds, nullptr));
  return {};
}

Result<MonitorState> MonitorClient::State() {
  const uint64_t request = NextId();
  MessageWriter message(MessageType::kState, request);
  ASSIGN_OR_RETURN(const std::string data, Request(message, request, {}, nullptr), "ask monitor for its state");
  const auto reply = MessageReader::Parse(data);
  MonitorState state;
  state.pause_pid = reply->Has(Tag::kPid) ? static_cast<pid_t>(reply->Number(Tag::kPid)) : -1;
  reply->ForEach(Tag::kContainer, [&state](std::string_view tags) {
    const auto entry = MessageReader::ParseTags(tags);
    if (!entry) return;
    MonitoredContainer& container = state.containers.emplace_back();
    container.id = entry->Bytes(Tag::kId);
    container.pid = static_cast<pid_t>(entry->Number(Tag::kPid));
    container.started_at_ns = static_cast<int64_t>(entry->Number(Tag::kStartedAt));
    if (entry->Number(Tag::kRunning) == 0) container.exit = ExitOf(*entry);
  });
  return state;
}

Result<> MonitorClient::Quit() {
  {
    const std::lock_guard lock(mutex_);
    quitting_ = true;
  }
  const Result<> asked = Simple(MessageType::kQuit, "");
  if (!asked && !process_.WaitExited(0)) KillMonitor();
  if (!process_.WaitExited(5000)) return Error::Make(ErrorCode::kInternal, "the monitor does not end");
  if (ours_) {
    (void)Reap(process_);
    ours_ = false;
  }
  return {};
}

void MonitorClient::Abandon() {
  {
    const std::lock_guard lock(mutex_);
    lost_ = true;
  }
  changed_.notify_all();
}

void MonitorClient::KillMonitor() { (void)process_.Signal(SIGKILL); }

void MonitorClient::OnReadable() {
  thread_local std::vector<char> buffer(kMaxMessageBytes);
  auto received = ReceiveMessage(socket_.get(), buffer, MSG_DONTWAIT);
  if (!received && received.error().saved_errno() == EAGAIN) return;
  if (!received || received->data.empty()) {
    reactor_.Remove(socket_.get());
    bool wanted = false;
    {
      const std::lock_guard lock(mutex_);
      lost_ = true;
      wanted = quitting_;
    }
    changed_.notify_all();
    if (!wanted && events_.lost) events_.lost();
    return;
  }
  const auto message = MessageReader::Parse(received->data);
  if (!message) return;
  if (message->request_id() == 0) return HandleEvent(*message);
  {
    const std::lock_guard lock(mutex_);
    const auto waiting = replies_.find(message->request_id());
    if (waiting == replies_.end()) return;
    waiting->second.done = true;
    waiting->second.data = received->data;
    waiting->second.fds = std::move(received->fds);
  }
  changed_.notify_all();
}

void MonitorClient::HandleEvent(const MessageReader& message) {
  switch (message.type()) {
    case MessageType::kExited:
      if (events_.exited) events_.exited(ExitOf(message));
      return;
    case MessageType::kPauseExited:
      if (events_.pause_exited) events_.pause_exited();
      return;
    default:
      return HandleExecEvent(message);
  }
}

void MonitorClient::HandleExecEvent(const MessageReader& message) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = execs_.find(message.Number(Tag::kExecId));
    if (found == execs_.end()) return;
    ExecState& state = *found->second;
    state.last_output = std::chrono::steady_clock::now();
    if (message.type() == MessageType::kExecOutput) {
      const uint64_t stream = message.Number(Tag::kStream);
      std::string& output = state.result.output[stream == 2 ? 1 : 0];
      const std::string_view data = message.Bytes(Tag::kData);
      const size_t other = state.result.output[stream == 2 ? 0 : 1].size();
      const size_t limit = kMaxExecOutputBytes - std::max(other, kSureExecOutputBytes);
      if (output.size() < limit) output.append(data.substr(0, limit - output.size()));
      return;
    }
    if (message.type() == MessageType::kExecExited) {
      state.result.exit_code = static_cast<int>(message.Number(Tag::kExitCode));
      state.exited = true;
      state.exited_at = state.last_output;
      state.eof = message.Number(Tag::kEof) != 0;
    }
    if (message.type() == MessageType::kExecEof) state.eof = true;
  }
  changed_.notify_all();
}

}  // namespace fermata::runtime
