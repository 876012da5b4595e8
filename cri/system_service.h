// System of fermata.v1: the daemon about itself and the machine. Thread-safe; owns nothing.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>

#include "cri/api/fermata_v1.grpc.pb.h"
#include "cri/metrics_page.h"
#include "cri/pods_service.h"

namespace fermata::cri {

class SystemService final : public fv1::System::CallbackService {
 public:
  // `metrics_url`: empty where there is no page.
  SystemService(const MetricsSources& sources, const DaemonConfig& config, const PodsService& presence,
                std::string metrics_url)
      : sources_(sources),
        engine_(sources.engine),
        config_(config),
        presence_(presence),
        metrics_url_(std::move(metrics_url)) {}

  grpc::ServerUnaryReactor* Info(grpc::CallbackServerContext* context, const fv1::InfoRequest* request,
                                 fv1::InfoResponse* response) override;
  // system_debug.cc
  grpc::ServerUnaryReactor* Debug(grpc::CallbackServerContext* context, const fv1::DebugRequest* request,
                                  fv1::DebugResponse* response) override;
  // system_stats.cc
  grpc::ServerUnaryReactor* Stats(grpc::CallbackServerContext* context, const fv1::StatsRequest* request,
                                  fv1::StatsResponse* response) override;

 private:
  const MetricsSources sources_;
  sandbox::Engine& engine_;
  const DaemonConfig& config_;
  const PodsService& presence_;
  const std::string metrics_url_;
};

}  // namespace fermata::cri
