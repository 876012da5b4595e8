// ProbeRunner: runs probes and hooks against the containers of an engine, by their action. Owns the thread of the
// network probes; exec ones wait on the engine's pool. Thread-safe; lives until the engine has ended its tasks.
//
// Network probes go from the node to the pod's address, to 127.0.0.1 for a pod of the host's network. A pod that has
// no address is reached inside its network namespace, at 127.0.0.1.
#pragma once

#include "sandbox/container_manager.h"
#include "sandbox/probe/grpc_probe.h"

namespace fermata::sandbox::probe {

class ProbeRunner {
 public:
  ProbeRunner(Engine& engine, ContainerManager& containers, GrpcCheck grpc)
      : engine_(engine), containers_(containers), grpc_(std::move(grpc)) {}

  void Run(const ProbeTarget& target, const ProbeSpec& spec, ProbeDone done);

  // `done` exactly once, on any thread; after `limit` at the latest where one is given. An exec hook is then killed.
  using HookDone = std::function<void(Result<>)>;
  void RunHook(const ProbeTarget& target, const HookAction& action, std::optional<std::chrono::milliseconds> limit,
               HookDone done);

 private:
  NetworkRun NetworkRunOf(const SandboxId& pod, const std::string& host, std::chrono::milliseconds timeout);
  void Find(const SandboxId& pod, const std::string& host, const DestinationDone& done);

  Engine& engine_;
  ContainerManager& containers_;
  GrpcCheck grpc_;
  TransferLoop loop_;
};

}  // namespace fermata::sandbox::probe
