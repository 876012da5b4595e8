#include "sandbox/probe/probe_runner.h"

#include <algorithm>

#include "sandbox/probe/exec_probe.h"
#include "sandbox/probe/http_probe.h"
#include "sandbox/probe/tcp_probe.h"

namespace fermata::sandbox::probe {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kHttpHookLimit = std::chrono::seconds(120);
constexpr const char* kLoopback = "127.0.0.1";

Result<> HookResult(const ProbeResult& result) {
  if (result.outcome == Outcome::kSuccess) return {};
  return Error::Make(ErrorCode::kFailedPrecondition, "exec hook: ", result.output);
}

}  // namespace

void ProbeRunner::Find(const SandboxId& pod, const std::string& host, const DestinationDone& done) {
  if (!host.empty()) return done(Destination{host, nullptr});
  const SandboxPtr sandbox = engine_.store->Find(pod);
  if (sandbox == nullptr) return done(Error::Make(ErrorCode::kNotFound, "the pod has gone"));
  if (sandbox->spec.namespaces.network == NamespaceMode::kNode) return done(Destination{kLoopback, nullptr});
  if (!sandbox->ips.empty()) return done(Destination{sandbox->ips.front(), nullptr});
  engine_.tasks.Post([this, pod, done] {
    auto sockets = PodSockets(engine_, pod);
    if (!sockets) return done(sockets.error());
    if (sockets->empty()) return done(Error::Make(ErrorCode::kUnavailable, "no socket of the pod's network"));
    done(Destination{kLoopback, std::make_shared<UniqueFd>(std::move(sockets->front()))});
  });
}

NetworkRun ProbeRunner::NetworkRunOf(const SandboxId& pod, const std::string& host, Milliseconds timeout) {
  return {&loop_, std::chrono::steady_clock::now() + timeout,
          [this, pod, host](const DestinationDone& done) { Find(pod, host, done); }};
}

void ProbeRunner::Run(const ProbeTarget& target, const ProbeSpec& spec, ProbeDone done) {
  const Milliseconds timeout = spec.timeout;
  if (const auto* exec = std::get_if<ExecAction>(&spec.action)) {
    return RunExecProbe(engine_, containers_, target.container, *exec, timeout, std::move(done));
  }
  if (const auto* http = std::get_if<HttpAction>(&spec.action)) {
    return RunHttpProbe(NetworkRunOf(target.pod, http->host, timeout), *http, std::move(done));
  }
  if (const auto* tcp = std::get_if<TcpAction>(&spec.action)) {
    return RunTcpProbe(NetworkRunOf(target.pod, tcp->host, timeout), *tcp, std::move(done));
  }
  RunGrpcProbe(NetworkRunOf(target.pod, "", timeout), std::get<GrpcAction>(spec.action), grpc_, std::move(done));
}

void ProbeRunner::RunHook(const ProbeTarget& target, const HookAction& action, std::optional<Milliseconds> limit,
                          HookDone done) {
  if (const auto* exec = std::get_if<ExecAction>(&action)) {
    const Milliseconds timeout = limit.value_or(Milliseconds(0));
    return RunExecProbe(engine_, containers_, target.container, *exec, timeout,
                        [done = std::move(done)](const ProbeResult& result) { done(HookResult(result)); });
  }
  if (const auto* http = std::get_if<HttpAction>(&action)) {
    const Milliseconds timeout = std::min(limit.value_or(kHttpHookLimit), kHttpHookLimit);
    return RunHttpHook(NetworkRunOf(target.pod, http->host, timeout), *http, std::move(done));
  }
  if (std::holds_alternative<TcpAction>(action)) {  // as kubelet: it is in the API and nothing runs it
    return done(Error::Make(ErrorCode::kInvalidArgument, "a hook cannot be a tcpSocket"));
  }
  Milliseconds time = std::get<SleepAction>(action).time;
  if (limit) time = std::min(time, *limit);
  engine_.tasks.Post([this, target, time, done = std::move(done)] {
    const LivePtr live = engine_.live.Get(target.pod);
    std::unique_lock lock(live->mutex);
    (void)live->changed.wait_for(lock, time, [&] {
      const ContainerPtr container = engine_.store->Find(target.container);
      return engine_.ending || container == nullptr || container->state != ContainerState::kRunning;
    });
    lock.unlock();
    done({});
  });
}

}  // namespace fermata::sandbox::probe
