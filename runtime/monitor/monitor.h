// Monitor: the parent of all processes of one pod. Starts them, holds their standard streams, writes their
// logs, records their exits; goes on without the daemon and tells the next one what happened.
//
// One thread; everything happens in callbacks of the event loop. Processes are reaped from SIGCHLD only: a
// killed pause is not gone before all others of its PID namespace are reaped, and we are their parent.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/page_buffer.h"
#include "runtime/base/result.h"
#include "runtime/base/socket.h"
#include "runtime/base/unique_fd.h"
#include "runtime/monitor/child.h"
#include "runtime/monitor/event_loop.h"
#include "runtime/monitor/log_writer.h"
#include "runtime/monitor/protocol.h"
#include "runtime/monitor/session.h"

namespace fermata::runtime {

inline constexpr size_t kReadBytes = size_t{32} << 10;  // of a process's output at a time

struct MonitorFds {
  UniqueFd connection;  // to the daemon that started us
  UniqueFd program;     // pause, sealed
  UniqueFd listener;    // where a later daemon connects
  UniqueFd exits;       // opened for appending
};

class Monitor {
 public:
  explicit Monitor(MonitorFds fds) : fds_(std::move(fds)) {}

  // Serves until kQuit.
  Result<> Run();

 private:
  struct Container {
    std::string id;
    Child child;
    UniqueFd cgroup;
    UniqueFd cgroup_events;
    LogWriter log{UniqueFd()};
    uint64_t start_request = 0;
    bool oom_killed = false;
    bool finished = false;  // exit recorded and told
  };
  struct Exec {
    uint64_t id = 0;
    Child child;
    UniqueFd parent_cgroup;  // the container's, to remove ours from
    std::string cgroup_name;
    UniqueFd cgroup;
    uint64_t request = 0;
    bool closed = false;         // nobody wants output any more
    bool reported = false;       // the exit was told
    Session* session = nullptr;  // of one that streams
  };
  // The control group of an exec whose orphans live on; removed when the last of them has ended.
  struct Lingering {
    UniqueFd parent_cgroup;
    std::string name;
    UniqueFd events;
  };
  struct Reaped {
    pid_t pid;
    int status;
  };
  using ContainerPtr = std::unique_ptr<Container>;
  using ExecPtr = std::unique_ptr<Exec>;

  // monitor.cc: life of the program, connection, dispatch
  Result<> Prepare();
  void OnListener();
  void Connect(UniqueFd connection);
  void Disconnect();
  void OnConnection(uint32_t events);
  void Dispatch(const MessageReader& message, std::vector<UniqueFd> fds);
  void Send(const std::string& message);
  bool SendNow(const std::string& message);
  void FlushQueue();
  void Reply(uint64_t request) { Send(MessageWriter(MessageType::kReply, request).Finish()); }
  void ReplyError(uint64_t request, const Error& error);
  void ReplyFailure(uint64_t request, const ChildFailure& failure);
  void ReplyState(uint64_t request);

  // monitor_processes.cc: starting and reaping
  // The plan of a message, where it lies in the message; a copy in `storage` if it is not aligned there, or came as a
  // file of its own. (With ids of full length it is aligned.)
  static Result<PlanView> TakePlan(const MessageReader& message, std::vector<UniqueFd>& fds, std::string& storage);
  [[nodiscard]] LaunchFds NewLaunch(int cgroup) const;
  void KillAll();
  void StopIfEmpty();
  void StartPause(const MessageReader& message, std::vector<UniqueFd> fds);
  void StartContainer(const MessageReader& message, std::vector<UniqueFd> fds);
  void WatchContainerOutput(Container& container);
  void OnChildSignal();
  void SettleReaped();
  [[nodiscard]] bool IsStarting() const;
  bool OnReaped(pid_t pid, int status);
  void OnPauseReport();
  void OnContainerReport(Container& container);
  void OnPauseExit();
  void OnContainerExit(Container& container);
  void FinishContainer(Container& container);
  void OnContainerOutput(Container& container, size_t stream);
  void CloseContainerOutput(Container& container, size_t stream);
  void TakeContainerOutput(Container& container, size_t stream, std::string_view data);

  // monitor_execs.cc
  void StartExec(const MessageReader& message, std::vector<UniqueFd> fds);
  Result<> LaunchExec(Exec& exec, const Container& container, const PlanView& plan, Child::Streams streams);
  void OnExecReport(Exec& exec);
  void ReadExec(Exec& exec, bool on);
  bool ForwardExecOutput(Exec& exec, size_t stream);
  void DrainExec(Exec& exec);
  void OnExecExit(Exec& exec);
  void CloseExecOutput(Exec& exec, size_t stream);
  void SetExecReading(bool on);
  void RemoveExecGroup(Exec& exec);
  void LingerExecGroup(Exec& exec);
  void ForgetExec(uint64_t id);
  void EndExecSession(Exec& exec);
  void CloseExec(uint64_t id);

  // monitor_sessions.cc: attachments, and the client's side of execs that stream
  Session& AddSession(UniqueFd socket, uint64_t exec_id);
  void AttachContainer(const MessageReader& message, std::vector<UniqueFd> fds);
  void EndAttachments(Container& container);
  void WatchSession(Session& session);
  void OnSession(Session& session, uint32_t events);
  void ReadSession(Session& session);
  void TakeInput(Session& session);
  void CloseInputOf(const Session& session);
  void WaitForInputRoom(Session& session, int input);
  void OnSessionGone(Session& session);
  void EndSession(Session& session);
  void RemoveSession(const Session& session);
  Child* ChildOf(const Session& session);
  void ReplySockets(uint64_t request);

  Container* FindContainer(std::string_view id);
  Exec* FindExec(uint64_t id);

  MonitorFds fds_;
  EventLoop loop_;
  UniqueFd signals_;
  UniqueFd own_pid_ns_;
  UniqueFd null_;
  UniqueFd pod_user_ns_;  // of a pod with a user namespace
  PageBuffer received_;   // the message that is being dispatched
  PageBuffer buffer_;     // what processes write

  Child pause_;
  bool pause_made_ = false;
  UniqueFd pause_cgroup_;
  uint64_t pause_request_ = 0;
  uint64_t stop_request_ = 0;
  bool stopping_ = false;
  std::map<std::string, ContainerPtr, std::less<>> containers_;
  std::map<uint64_t, ExecPtr> execs_;
  std::map<int, std::unique_ptr<Session>> sessions_;  // by descriptor of the socket
  std::map<int, Lingering> lingering_;                // by descriptor of cgroup.events
  std::vector<Reaped> reaped_;                        // ended, not yet known as one of ours
  std::deque<std::string> queue_;                     // messages that the socket had no room for
};

}  // namespace fermata::runtime
