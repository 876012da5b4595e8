// Network of fermata.v1. Thread-safe; owns nothing.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <vector>

#include "cri/api/fermata_v1.grpc.pb.h"
#include "cri/pods_service.h"
#include "sandbox/engine.h"
#include "sandbox/network/pod_network.h"

namespace fermata::cri {

// An attachment as fermata.v1 shows it.
void FillAttachment(const sandbox::Attachment& attachment, fv1::NetworkAttachment& message);

class NetworkService final : public fv1::Network::CallbackService {
 public:
  NetworkService(sandbox::Engine& engine, sandbox::PodNetwork& network, const DaemonConfig& config,
                 const PodsService& presence)
      : engine_(engine), network_(network), config_(config), presence_(presence) {}

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const fv1::ListNetworkRequest* request,
                                 fv1::ListNetworkResponse* response) override;
  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context, const fv1::CheckNetworkRequest* request,
                                  fv1::CheckNetworkResponse* response) override;
  grpc::ServerUnaryReactor* Collect(grpc::CallbackServerContext* context, const fv1::CollectNetworkRequest* request,
                                    fv1::CollectNetworkResponse* response) override;

 private:
  sandbox::Engine& engine_;
  sandbox::PodNetwork& network_;
  const DaemonConfig& config_;
  const PodsService& presence_;
};

}  // namespace fermata::cri
