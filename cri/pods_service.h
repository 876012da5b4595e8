// The services Pods and System of fermata.v1 (Images: images_service.h). Thread-safe; own nothing but the count of who
// is there.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "cri/api/fermata_v1.grpc.pb.h"
#include "cri/config.h"
#include "cri/streaming/backend.h"
#include "cri/streaming/server.h"
#include "sandbox/container_manager.h"
#include "sandbox/engine.h"
#include "sandbox/pods/log_follower.h"
#include "sandbox/pods/manifest_directory.h"
#include "sandbox/pods/pod_engine.h"

namespace fermata::cri {

namespace fv1 = ::fermata::v1;

class PodsService final : public fv1::Pods::CallbackService {
 public:
  // `manifests`: nullptr where no directory is watched.
  PodsService(sandbox::Engine& engine, sandbox::pods::PodEngine& pods, sandbox::ContainerManager& containers,
              streaming::Server& streams, streaming::Backend& backend,
              const sandbox::pods::ManifestDirectory* manifests)
      : engine_(engine),
        pods_(pods),
        containers_(containers),
        streams_(streams),
        backend_(backend),
        manifests_(manifests) {}

  grpc::ServerUnaryReactor* Apply(grpc::CallbackServerContext* context, const fv1::ApplyRequest* request,
                                  fv1::ApplyResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const fv1::ListPodsRequest* request,
                                 fv1::ListPodsResponse* response) override;
  grpc::ServerWriteReactor<fv1::PodStatus>* Watch(grpc::CallbackServerContext* context,
                                                  const fv1::WatchPodRequest* request) override;
  grpc::ServerUnaryReactor* Stop(grpc::CallbackServerContext* context, const fv1::StopPodRequest* request,
                                 fv1::StopPodResponse* response) override;
  grpc::ServerUnaryReactor* Restart(grpc::CallbackServerContext* context, const fv1::RestartPodRequest* request,
                                    fv1::RestartPodResponse* response) override;
  grpc::ServerUnaryReactor* Remove(grpc::CallbackServerContext* context, const fv1::RemovePodRequest* request,
                                   fv1::RemovePodResponse* response) override;
  grpc::ServerWriteReactor<fv1::LogRecord>* Logs(grpc::CallbackServerContext* context,
                                                 const fv1::LogsRequest* request) override;
  grpc::ServerUnaryReactor* Exec(grpc::CallbackServerContext* context, const fv1::ExecRequest* request,
                                 fv1::ExecResponse* response) override;
  // pods_service_events.cc
  grpc::ServerUnaryReactor* ListEvents(grpc::CallbackServerContext* context, const fv1::ListEventsRequest* request,
                                       fv1::ListEventsResponse* response) override;
  grpc::ServerWriteReactor<fv1::PodEvent>* WatchEvents(grpc::CallbackServerContext* context,
                                                       const fv1::ListEventsRequest* request) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context, const fv1::DescribePodRequest* request,
                                     fv1::DescribePodResponse* response) override;
  grpc::ServerUnaryReactor* Stats(grpc::CallbackServerContext* context, const fv1::PodStatsRequest* request,
                                  fv1::PodStatsResponse* response) override;
  // pods_service_probes.cc
  grpc::ServerUnaryReactor* ListProbes(grpc::CallbackServerContext* context, const fv1::ListProbesRequest* request,
                                       fv1::ListProbesResponse* response) override;
  grpc::ServerUnaryReactor* ProbeHistory(grpc::CallbackServerContext* context, const fv1::ProbeHistoryRequest* request,
                                         fv1::ProbeHistoryResponse* response) override;
  grpc::ServerUnaryReactor* RunProbe(grpc::CallbackServerContext* context, const fv1::RunProbeRequest* request,
                                     fv1::RunProbeResponse* response) override;
  // pods_service_streams.cc
  grpc::ServerBidiReactor<fv1::StreamInput, fv1::StreamOutput>* ExecStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<fv1::StreamInput, fv1::StreamOutput>* Attach(grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<fv1::ForwardPart, fv1::ForwardPart>* PortForward(
      grpc::CallbackServerContext* context) override;

  // What the first message of a stream names.
  Result<streaming::StreamRequest> RequestOf(const fv1::StreamStart& start, streaming::Method method) const;
  Result<streaming::StreamRequest> RequestOf(const fv1::ForwardStart& start) const;

  // A call of fermata.v1 is under way while one of these lives.
  class Client {
   public:
    explicit Client(const PodsService& service) : service_(service) { ++service_.clients_; }
    ~Client() {
      service_.last_seen_ = std::chrono::steady_clock::now();
      --service_.clients_;
    }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

   private:
    const PodsService& service_;
  };
  // For how long there has been no pod and no client.
  [[nodiscard]] std::chrono::seconds IdleTime() const;
  [[nodiscard]] const sandbox::pods::ManifestDirectory* manifests() const { return manifests_; }
  // Makes streams that wait for something end; the server is about to be shut down.
  void EndStreams();

 private:
  // By name, namespace/name, id, or the beginning of an id; kNotFound, kInvalidArgument when several match.
  Result<sandbox::SandboxId> Find(const std::string& pod) const;
  // The status with the file that keeps the pod.
  void FillAll(const sandbox::pods::PodView& view, fv1::PodStatus& status) const;
  // Nothing for an empty name, which means all pods.
  Result<std::optional<sandbox::SandboxId>> FindIfNamed(const std::string& pod) const;
  Result<> CheckPrevious(const sandbox::SandboxId& pod, const sandbox::pods::LogOptions& options) const;
  Result<sandbox::ContainerPtr> FindRunning(const sandbox::SandboxId& pod, const std::string& container) const;

  sandbox::Engine& engine_;
  sandbox::pods::PodEngine& pods_;
  sandbox::ContainerManager& containers_;
  streaming::Server& streams_;
  streaming::Backend& backend_;
  const sandbox::pods::ManifestDirectory* manifests_;
  std::atomic<bool> ending_ = false;
  mutable std::atomic<int> clients_ = 0;
  mutable std::atomic<std::chrono::steady_clock::time_point> last_seen_ = std::chrono::steady_clock::now();
};

}  // namespace fermata::cri
