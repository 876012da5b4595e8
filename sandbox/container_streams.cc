// What goes into a running container and comes out of it: exec, attach, and sockets in its network namespace.
#include <algorithm>

#include "runtime/base/operation.h"
#include "runtime/base/socket.h"
#include "sandbox/container_manager.h"
#include "sandbox/seccomp_choice.h"

namespace fermata::sandbox {
namespace {

void GiveTerminal(const ContainerManager::ExecRequest& request, runtime::Process& process) {
  process.terminal = true;
  process.console_width = request.columns;
  process.console_height = request.rows;
  const auto names_it = [](const std::string& entry) { return entry.starts_with("TERM="); };
  if (std::ranges::none_of(process.env, names_it)) process.env.emplace_back("TERM=xterm");
}

}  // namespace

Result<ContainerPtr> ContainerManager::GetRunning(const ContainerId& id) const {
  ASSIGN_OR_RETURN(ContainerPtr container, GetContainer(id));
  if (container->state != ContainerState::kRunning) {
    return Error::Make(ErrorCode::kFailedPrecondition, "container ", id.str(), " is not running");
  }
  return container;
}

Result<> ContainerManager::CheckRunning(const ContainerId& id) const {
  RETURN_IF_ERROR(GetRunning(id));
  return {};
}

Result<> ContainerManager::CheckAttach(const ContainerId& id, bool tty) const {
  ASSIGN_OR_RETURN(const ContainerPtr container, GetRunning(id));
  if (container->spec.tty == tty) return {};
  return Error::Make(ErrorCode::kInvalidArgument, "container ", id.str(),
                     tty ? " has no terminal" : " has a terminal, and was to be attached to without");
}

Result<runtime::LaunchPlan> ContainerManager::PlanExecOf(const ContainerRecord& container,
                                                         const ExecRequest& request) const {
  const SandboxPtr sandbox = engine_.store->Find(container.sandbox);
  if (sandbox == nullptr) {
    return Error::Make(ErrorCode::kFailedPrecondition, "container ", container.id.str(), " is not running");
  }
  runtime::ExecLaunch launch;
  launch.process = container.launch.process;
  launch.process.args = request.command;
  launch.process.terminal = false;
  if (request.tty) GiveTerminal(request, launch.process);
  launch.console = request.tty;
  launch.join_namespaces = kPodNamespaces;
  launch.pid = PidMode(*sandbox, container.spec) == NamespaceMode::kNode ? runtime::PidNamespace::kHost
                                                                         : runtime::PidNamespace::kJoin;
  launch.two_stages = sandbox->shares_ptrace;
  launch.user = UserMappingsOf(sandbox->spec.namespaces);
  ASSIGN_OR_RETURN(const auto profile,
                   ChooseSeccomp(container.spec.security, container.launch.process.capabilities.bounding));
  if (profile) {
    ASSIGN_OR_RETURN(launch.seccomp, engine_.seccomp.Get(*profile));
  }
  return runtime::PlanExec(launch);
}

Result<runtime::ExecResult> ContainerManager::ExecSync(const ContainerId& id, const std::vector<std::string>& command,
                                                       std::chrono::milliseconds timeout) {
  const About about(About::What::kContainer, id.str());
  // As long as the command wants.
  if (Operation* operation = Operation::Current(); operation != nullptr) operation->BePatient();
  ASSIGN_OR_RETURN(const ContainerPtr container, GetRunning(id));
  ASSIGN_OR_RETURN(const runtime::LaunchPlan plan, PlanExecOf(*container, {.command = command}), "exec");
  ASSIGN_OR_RETURN(auto monitor, GetMonitor(*engine_.live.Get(container->sandbox), container->sandbox));
  return monitor->Exec(id.str(), plan, timeout);
}

Result<UniqueFd> ContainerManager::OpenExec(const ContainerId& id, const ExecRequest& request) {
  const About about(About::What::kContainer, id.str());
  ASSIGN_OR_RETURN(const ContainerPtr container, GetRunning(id));
  ASSIGN_OR_RETURN(const runtime::LaunchPlan plan, PlanExecOf(*container, request), "exec");
  ASSIGN_OR_RETURN(auto monitor, GetMonitor(*engine_.live.Get(container->sandbox), container->sandbox));
  ASSIGN_OR_RETURN(auto ends, SeqpacketPair());
  const runtime::SessionWants wants{.input = request.want_stdin, .terminal = request.tty};
  RETURN_IF_ERROR(monitor->OpenExec(id.str(), plan, wants, ends.second.get()));
  return std::move(ends.first);
}

Result<UniqueFd> ContainerManager::Attach(const ContainerId& id, const AttachRequest& request) {
  const About about(About::What::kContainer, id.str());
  RETURN_IF_ERROR(CheckAttach(id, request.tty));
  ASSIGN_OR_RETURN(const ContainerPtr container, GetRunning(id));
  ASSIGN_OR_RETURN(auto monitor, GetMonitor(*engine_.live.Get(container->sandbox), container->sandbox));
  ASSIGN_OR_RETURN(auto ends, SeqpacketPair());
  const runtime::SessionWants wants{.input = request.want_stdin && container->spec.want_stdin,
                                    .output = request.want_stdout,
                                    .error_output = request.want_stderr,
                                    .stdin_once = container->spec.stdin_once};
  RETURN_IF_ERROR(monitor->AttachTo(id.str(), wants, ends.second.get()));
  return std::move(ends.first);
}

Result<> CheckReady(const Engine& engine, const SandboxId& id) {
  const SandboxPtr sandbox = engine.store->Find(id);
  if (sandbox == nullptr) return Error::Make(ErrorCode::kNotFound, "pod sandbox ", id.str(), " does not exist");
  if (sandbox->state == SandboxState::kReady) return {};
  return Error::Make(ErrorCode::kFailedPrecondition, "pod sandbox ", id.str(), " is not ready");
}

Result<std::vector<UniqueFd>> PodSockets(Engine& engine, const SandboxId& id) {
  RETURN_IF_ERROR(CheckReady(engine, id));
  ASSIGN_OR_RETURN(const auto monitor, GetMonitor(*engine.live.Get(id), id));
  return monitor->PodSockets();
}

}  // namespace fermata::sandbox
