// RuntimeService of the CRI: translate, call the engine, translate. One file a group of calls:
// runtime_service_sandbox.cc, _container.cc, _stats.cc, _events.cc, _streaming.cc, _status.cc; what is not there yet
// answers in _unimplemented.cc. Thread-safe; owns nothing.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <vector>

#include "cri/api/runtime_v1.grpc.pb.h"
#include "cri/config.h"
#include "cri/lookup.h"
#include "cri/streaming/server.h"
#include "sandbox/container_manager.h"
#include "sandbox/engine.h"
#include "sandbox/sandbox_manager.h"

namespace fermata::cri {

namespace v1 = ::runtime::v1;

// The signature of every unary call of gRPC's callback API.
#define FERMATA_UNARY(name, request_type, response_type)                                                \
  grpc::ServerUnaryReactor* name(grpc::CallbackServerContext* context, const v1::request_type* request, \
                                 v1::response_type* response) override;
#define FERMATA_STREAM(name, request_type, response_type)                                 \
  grpc::ServerWriteReactor<v1::response_type>* name(grpc::CallbackServerContext* context, \
                                                    const v1::request_type* request) override;

class RuntimeService final : public v1::RuntimeService::CallbackService {
 public:
  RuntimeService(sandbox::Engine& engine, sandbox::SandboxManager& sandboxes, sandbox::ContainerManager& containers,
                 streaming::Server& streams, const DaemonConfig& config)
      : engine_(engine),
        sandboxes_(sandboxes),
        containers_(containers),
        streams_(streams),
        config_(config),
        visible_{.cri = true, .pods = config.show_local_pods} {}

  FERMATA_UNARY(Version, VersionRequest, VersionResponse)
  FERMATA_UNARY(Status, StatusRequest, StatusResponse)
  FERMATA_UNARY(RuntimeConfig, RuntimeConfigRequest, RuntimeConfigResponse)

  FERMATA_UNARY(RunPodSandbox, RunPodSandboxRequest, RunPodSandboxResponse)
  FERMATA_UNARY(StopPodSandbox, StopPodSandboxRequest, StopPodSandboxResponse)
  FERMATA_UNARY(RemovePodSandbox, RemovePodSandboxRequest, RemovePodSandboxResponse)
  FERMATA_UNARY(PodSandboxStatus, PodSandboxStatusRequest, PodSandboxStatusResponse)
  FERMATA_UNARY(ListPodSandbox, ListPodSandboxRequest, ListPodSandboxResponse)

  FERMATA_UNARY(CreateContainer, CreateContainerRequest, CreateContainerResponse)
  FERMATA_UNARY(StartContainer, StartContainerRequest, StartContainerResponse)
  FERMATA_UNARY(StopContainer, StopContainerRequest, StopContainerResponse)
  FERMATA_UNARY(RemoveContainer, RemoveContainerRequest, RemoveContainerResponse)
  FERMATA_UNARY(ContainerStatus, ContainerStatusRequest, ContainerStatusResponse)
  FERMATA_UNARY(ListContainers, ListContainersRequest, ListContainersResponse)
  FERMATA_UNARY(ReopenContainerLog, ReopenContainerLogRequest, ReopenContainerLogResponse)
  FERMATA_UNARY(ExecSync, ExecSyncRequest, ExecSyncResponse)

  FERMATA_UNARY(Exec, ExecRequest, ExecResponse)
  FERMATA_UNARY(Attach, AttachRequest, AttachResponse)
  FERMATA_UNARY(PortForward, PortForwardRequest, PortForwardResponse)

  FERMATA_STREAM(StreamPodSandboxes, StreamPodSandboxesRequest, StreamPodSandboxesResponse)
  FERMATA_STREAM(StreamContainers, StreamContainersRequest, StreamContainersResponse)
  FERMATA_STREAM(GetContainerEvents, GetEventsRequest, ContainerEventResponse)

  FERMATA_UNARY(ContainerStats, ContainerStatsRequest, ContainerStatsResponse)
  FERMATA_UNARY(ListContainerStats, ListContainerStatsRequest, ListContainerStatsResponse)
  FERMATA_STREAM(StreamContainerStats, StreamContainerStatsRequest, StreamContainerStatsResponse)
  FERMATA_UNARY(PodSandboxStats, PodSandboxStatsRequest, PodSandboxStatsResponse)
  FERMATA_UNARY(ListPodSandboxStats, ListPodSandboxStatsRequest, ListPodSandboxStatsResponse)
  FERMATA_STREAM(StreamPodSandboxStats, StreamPodSandboxStatsRequest, StreamPodSandboxStatsResponse)
  FERMATA_UNARY(ListMetricDescriptors, ListMetricDescriptorsRequest, ListMetricDescriptorsResponse)
  FERMATA_UNARY(ListPodSandboxMetrics, ListPodSandboxMetricsRequest, ListPodSandboxMetricsResponse)
  FERMATA_STREAM(StreamPodSandboxMetrics, StreamPodSandboxMetricsRequest, StreamPodSandboxMetricsResponse)

  FERMATA_UNARY(UpdateRuntimeConfig, UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse)

  // Not there yet.
  FERMATA_UNARY(UpdateContainerResources, UpdateContainerResourcesRequest, UpdateContainerResourcesResponse)
  FERMATA_UNARY(CheckpointContainer, CheckpointContainerRequest, CheckpointContainerResponse)
  FERMATA_UNARY(CheckpointPod, CheckpointPodRequest, CheckpointPodResponse)
  FERMATA_UNARY(RestorePod, RestorePodRequest, RestorePodResponse)
  FERMATA_UNARY(UpdatePodSandboxResources, UpdatePodSandboxResourcesRequest, UpdatePodSandboxResourcesResponse)

 private:
  // What a list and its stream have in common: one look at the records, then the answers.
  [[nodiscard]] std::vector<v1::PodSandbox> SelectSandboxes(const v1::PodSandboxFilter& filter) const;
  [[nodiscard]] std::vector<v1::Container> SelectContainers(const v1::ContainerFilter& filter) const;
  [[nodiscard]] std::vector<v1::ContainerStats> SelectContainerStats(const v1::ContainerStatsFilter& filter) const;
  [[nodiscard]] std::vector<v1::PodSandboxStats> SelectSandboxStats(const v1::PodSandboxStatsFilter& filter) const;
  [[nodiscard]] std::vector<v1::PodSandboxMetrics> SelectMetrics() const;

  sandbox::Engine& engine_;
  sandbox::SandboxManager& sandboxes_;
  sandbox::ContainerManager& containers_;
  streaming::Server& streams_;
  const DaemonConfig& config_;
  const Visibility visible_;
};

}  // namespace fermata::cri
