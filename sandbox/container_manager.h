// ContainerManager: containers from Create to Remove, in the meaning of the CRI. Thread-safe; calls block for
// as long as their work takes, and hold no lock that List or Status need.
#pragma once

#include <sched.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/launch/container_plan.h"
#include "runtime/monitor/client.h"
#include "sandbox/engine.h"

namespace fermata::sandbox {

class ContainerManager {
 public:
  explicit ContainerManager(Engine& engine) : engine_(engine) {}

  // Validates everything and records it; no process, mount or open file is left. kNotFound: sandbox or image;
  // kFailedPrecondition: the sandbox is not ready; kAlreadyExists: name and attempt are taken.
  Result<ContainerId> Create(const SandboxId& sandbox, const ContainerSpec& spec,
                             const OperationTable::CallerGone& caller_gone = {});
  // Returns when the program runs. On failure the container is EXITED, 128, StartError, and stays.
  Result<> Start(const ContainerId& id);
  // Stop signal, up to `grace`, SIGKILL; returns when the exit is recorded. Unknown or not running: success.
  // A second call shortens the first one's wait.
  Result<> Stop(const ContainerId& id, std::chrono::seconds grace);
  // Kills if needed. Unknown: success.
  Result<> Remove(const ContainerId& id);
  // kDeadlineExceeded after `timeout` (0: none): everything of the command is dead then.
  Result<runtime::ExecResult> ExecSync(const ContainerId& id, const std::vector<std::string>& command,
                                       std::chrono::milliseconds timeout);
  // A program whose streams go over a socket (runtime/monitor/session_packet.h), until it and its output have ended.
  // Returns when it runs. container_streams.cc
  struct ExecRequest {
    std::vector<std::string> command;
    bool tty = false;
    bool want_stdin = false;
    uint16_t columns = 0, rows = 0;  // of the terminal at first; 0: its default
  };
  Result<UniqueFd> OpenExec(const ContainerId& id, const ExecRequest& request);
  // What a running container writes from now on, and its input, over such a socket. kFailedPrecondition when it does
  // not run, kInvalidArgument for a terminal that it has not, or the other way round.
  struct AttachRequest {
    bool tty = false;
    bool want_stdin = false;  // passed over if the container was made without
    bool want_stdout = false, want_stderr = false;
  };
  Result<UniqueFd> Attach(const ContainerId& id, const AttachRequest& request);
  // What both of them check, without a session. Never blocks.
  Result<> CheckRunning(const ContainerId& id) const;
  Result<> CheckAttach(const ContainerId& id, bool tty) const;
  Result<> ReopenLog(const ContainerId& id);

  // For the sandbox's manager and recovery.
  void HandleExit(const SandboxId& sandbox, const runtime::ContainerExit& exit);
  // Removes a container of a sandbox whose operations the caller holds exclusively, and which does not run.
  Result<> RemoveStopped(const ContainerRecord& record);

 private:
  friend struct ContainerBuild;
  Result<std::string> DoCreate(const SandboxId& sandbox, const ContainerSpec& spec);
  Result<ContainerRecord> Describe(const SandboxRecord& sandbox, ContainerSpec spec, const overlay::Image& image);
  Result<runtime::LaunchPlan> Plan(const SandboxRecord& sandbox, const ContainerRecord& record,
                                   const overlay::Snapshot& snapshot);
  void RecordStartFailure(const ContainerRecord& record, const Error& error);
  Result<ContainerPtr> GetContainer(const ContainerId& id) const;
  Result<ContainerPtr> GetRunning(const ContainerId& id) const;
  Result<runtime::LaunchPlan> PlanExecOf(const ContainerRecord& container, const ExecRequest& request) const;
  Result<> KillAndWait(const ContainerRecord& record);

  Engine& engine_;
};

// The log file of a container, opened below the pod's log directory without following links, made if missing.
// kInvalidArgument when something else stands in its place.
Result<UniqueFd> OpenLog(const ContainerRecord& record);

inline constexpr uint64_t kPodNamespaces = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
NamespaceMode PidMode(const SandboxRecord& sandbox, const ContainerSpec& spec);

// TCP sockets of a ready sandbox's network namespace: runtime::MonitorClient::PodSockets.
Result<std::vector<UniqueFd>> PodSockets(Engine& engine, const SandboxId& id);
// Whether PodSockets can be asked for. Never blocks.
Result<> CheckReady(const Engine& engine, const SandboxId& id);

// The monitor of a sandbox; kFailedPrecondition when it does not run.
Result<std::shared_ptr<runtime::MonitorClient>> GetMonitor(LiveSandbox& live, const SandboxId& id);

}  // namespace fermata::sandbox
