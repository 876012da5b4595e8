// MonitorClient: the daemon's handle of one pod's monitor. Owns the connection and the handle of the process,
// not the pod: dropping the client leaves monitor and pod running.
//
// Thread-safe; every request blocks its caller until the reply or the deadline, and holds no lock meanwhile.
// Events arrive on the reactor's thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/pidfd.h"
#include "runtime/base/result.h"
#include "runtime/base/socket.h"
#include "runtime/launch/launch_plan.h"
#include "runtime/monitor/protocol.h"
#include "runtime/monitor/reactor.h"
#include "runtime/monitor/zygote_client.h"

namespace fermata::runtime {

struct ContainerExit {
  std::string container_id;
  int exit_code = 0;
  bool oom_killed = false;
  int64_t started_at_ns = 0;
  int64_t finished_at_ns = 0;
};

struct MonitorEvents {  // none of them may block
  std::function<void(const ContainerExit&)> exited;
  std::function<void()> pause_exited;
  std::function<void()> lost;  // the connection ended although nobody asked for it
};

struct MonitoredContainer {
  std::string id;
  pid_t pid = -1;
  int64_t started_at_ns = 0;
  std::optional<ContainerExit> exit;  // nullopt: runs
};

struct MonitorState {
  pid_t pause_pid = -1;  // -1: not running
  std::vector<MonitoredContainer> containers;
};

struct StartedProcess {
  pid_t pid = -1;
  int64_t started_at_ns = 0;
};

struct ExecResult {
  int exit_code = 0;
  std::string output[2];  // stdout, stderr; what is over kMaxExecOutputBytes is dropped
};
// Of both streams together: clients of the CRI take messages of 16 MiB at most. Each stream is sure of the second
// number.
inline constexpr size_t kMaxExecOutputBytes = (size_t{16} << 20) - 4096;
inline constexpr size_t kSureExecOutputBytes = size_t{512} << 10;

struct ContainerStart {
  int cgroup_fd = -1;
  int log_fd = -1;  // -1: output is discarded
  bool want_stdin = false;
  bool terminal = false;   // its plan makes one
  std::string pid_target;  // the container whose PID namespace is joined; empty: pause's
};

struct SessionWants {
  bool input = false, output = false, error_output = false;
  bool terminal = false;    // of an exec: its plan makes one
  bool stdin_once = false;  // of an attachment: the end of its input is the end of the process's
};

class MonitorClient : public Readable, public std::enable_shared_from_this<MonitorClient> {
 public:
  using Duration = std::chrono::milliseconds;

  // Starts a monitor, born in `cgroup_fd`, whose socket and exit file lie in `run_dir`.
  static Result<std::shared_ptr<MonitorClient>> Start(Reactor& reactor, ZygoteClient& zygote, int run_dir,
                                                      int cgroup_fd, MonitorEvents events);
  // Connects to one that runs already. kUnavailable if none answers.
  static Result<std::shared_ptr<MonitorClient>> Connect(Reactor& reactor, int run_dir, MonitorEvents events);
  ~MonitorClient() override;

  Result<pid_t> StartPause(const LaunchPlan& plan, int cgroup_fd);
  Result<StartedProcess> StartContainer(const std::string& id, const LaunchPlan& plan, const ContainerStart& start);
  // Runs a program to its end. kDeadlineExceeded after `timeout` (0: none): then everything of it was killed.
  Result<ExecResult> Exec(const std::string& id, const LaunchPlan& plan, Duration timeout);
  // Starts a program whose streams go over `session`, one end of a pair of SOCK_SEQPACKET (session_packet.h). Returns
  // when it runs. client_sessions.cc
  Result<> OpenExec(const std::string& id, const LaunchPlan& plan, SessionWants wants, int session);
  // What the container writes from now on goes over `session` too.
  Result<> AttachTo(const std::string& id, SessionWants wants, int session);
  // TCP sockets that belong to the pod's network namespace, not connected: IPv4, then IPv6 where there is any.
  Result<std::vector<UniqueFd>> PodSockets();
  Result<> Signal(const std::string& id, int signal);
  Result<> Kill(const std::string& id);
  Result<> ReopenLog(const std::string& id, int log_fd);
  Result<> Forget(const std::string& id);
  Result<MonitorState> State();
  // Kills everything in the pod and waits until it is reaped.
  Result<> Stop();
  // Ends the monitor and waits until it is gone. Succeeds when it is gone already.
  Result<> Quit();
  // Makes every call that waits return kUnavailable, now and later; the pod goes on. For the daemon's end.
  void Abandon();
  // Kills the monitor itself, when it does not answer any more.
  void KillMonitor();

  [[nodiscard]] pid_t pid() const { return pid_; }
  void OnReadable() override;

 private:
  struct Reply {
    bool done = false;
    std::string data;
    std::vector<UniqueFd> fds;
  };
  struct ExecState {
    ExecResult result;
    bool exited = false;
    bool eof = false;
    std::chrono::steady_clock::time_point last_output, exited_at;
  };

  MonitorClient(Reactor& reactor, UniqueFd socket, MonitorEvents events)
      : reactor_(reactor), socket_(std::move(socket)), events_(std::move(events)) {}
  Result<> Attach();
  Result<std::string> Request(MessageWriter& message, uint64_t request, std::span<const int> fds,
                              const LaunchPlan* plan, std::vector<UniqueFd>* received = nullptr);
  Result<> RequireSessions() const;
  Result<std::string> RequestWithPlan(MessageWriter& message, uint64_t request, std::vector<int> fds,
                                      const LaunchPlan& plan);
  Result<> Simple(MessageType type, const std::string& id);
  Result<> WaitExec(uint64_t exec_id, ExecState& state, Duration timeout);
  void FinishExec(uint64_t exec_id);
  void HandleEvent(const MessageReader& message);
  void HandleExecEvent(const MessageReader& message);
  uint64_t NextId();

  Reactor& reactor_;
  UniqueFd socket_;
  MonitorEvents events_;
  Pidfd process_;
  pid_t pid_ = -1;
  uint64_t features_ = kFeatureSessions;  // of one that was running before: what it says
  bool ours_ = false;                     // our child: has to be reaped by us

  std::mutex mutex_;  // guards what follows; never held over a system call that blocks
  std::condition_variable changed_;
  std::map<uint64_t, Reply> replies_;
  std::map<uint64_t, ExecState*> execs_;
  // Never used twice with one monitor, also by a later daemon: execs keep theirs.
  uint64_t next_id_ = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  bool lost_ = false;
  bool quitting_ = false;
};

}  // namespace fermata::runtime
