// Statistics and metrics. They read the kernel's memory, no disk; on the pool nevertheless, because there may be much.
#include "cri/convert.h"
#include "cri/convert_stats.h"
#include "cri/list_stream.h"
#include "cri/runtime_service.h"
#include "cri/server.h"

namespace fermata::cri {
namespace {

namespace stats = sandbox::stats;

v1::ContainerMetrics MetricsOf(stats::Collector& collector, const sandbox::SandboxRecord& pod,
                               const stats::ContainerSample& sample) {
  v1::ContainerMetrics out;
  const stats::ContainerDetails details = collector.DetailsOf(*sample.record);
  stats::MetricInput input{.sandbox = &pod, .container = sample.record.get()};
  input.group = sample.group ? &*sample.group : nullptr;
  input.details = &details.group;
  input.processes = &details.processes;
  input.layer = sample.layer ? &*sample.layer : nullptr;
  input.now_ns = sandbox::NowNs();
  out.set_container_id(sample.record->id.str());
  for (const stats::Metric& metric : stats::ReadMetrics(input)) *out.add_metrics() = ToMetric(metric);
  return out;
}

v1::PodSandboxMetrics MetricsOf(stats::Collector& collector, const stats::PodSample& sample) {
  v1::PodSandboxMetrics out;
  const cgroups::Details details = collector.DetailsOf(*sample.record);
  stats::MetricInput input{.sandbox = sample.record.get()};
  input.group = sample.group ? &*sample.group : nullptr;
  input.details = &details;
  input.interfaces = &sample.interfaces;
  input.now_ns = sandbox::NowNs();
  out.set_pod_sandbox_id(sample.record->id.str());
  for (const stats::Metric& metric : stats::ReadMetrics(input)) *out.add_metrics() = ToMetric(metric);
  for (const stats::ContainerSample& container : sample.containers) {
    *out.add_container_metrics() = MetricsOf(collector, *sample.record, container);
  }
  return out;
}

}  // namespace

std::vector<v1::ContainerStats> RuntimeService::SelectContainerStats(const v1::ContainerStatsFilter& filter) const {
  std::vector<v1::ContainerStats> selected;
  for (const sandbox::ContainerPtr& record : engine_.store->Containers()) {
    if (!Matches(filter, *record) || !Shows(*engine_.store, *record, visible_)) continue;
    selected.push_back(ToContainerStats(engine_.stats->Container(record), config_.data_dir));
  }
  return selected;
}

std::vector<v1::PodSandboxStats> RuntimeService::SelectSandboxStats(const v1::PodSandboxStatsFilter& filter) const {
  std::vector<v1::PodSandboxStats> selected;
  for (const sandbox::SandboxPtr& record : engine_.store->Sandboxes()) {
    const bool ready = record->state == sandbox::SandboxState::kReady;
    if (!ready || !visible_.Shows(record->spec.owner) || !Matches(filter, *record)) continue;
    const stats::PodSample sample = engine_.stats->Pod(record, engine_.store->ContainersOf(record->id));
    selected.push_back(ToPodSandboxStats(sample, config_.data_dir));
  }
  return selected;
}

std::vector<v1::PodSandboxMetrics> RuntimeService::SelectMetrics() const {
  std::vector<v1::PodSandboxMetrics> selected;
  for (const sandbox::SandboxPtr& record : engine_.store->Sandboxes()) {
    if (record->state != sandbox::SandboxState::kReady || !visible_.Shows(record->spec.owner)) continue;
    selected.push_back(MetricsOf(*engine_.stats, engine_.stats->Pod(record, engine_.store->ContainersOf(record->id))));
  }
  return selected;
}

grpc::ServerUnaryReactor* RuntimeService::ContainerStats(grpc::CallbackServerContext* context,
                                                         const v1::ContainerStatsRequest* request,
                                                         v1::ContainerStatsResponse* response) {
  return Serve("ContainerStats", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::ContainerPtr record,
                     GetContainer(*engine_.store, request->container_id(), visible_));
    *response->mutable_stats() = ToContainerStats(engine_.stats->Container(record), config_.data_dir);
    return {};
  });
}

grpc::ServerUnaryReactor* RuntimeService::ListContainerStats(grpc::CallbackServerContext* context,
                                                             const v1::ListContainerStatsRequest* request,
                                                             v1::ListContainerStatsResponse* response) {
  return Serve("ListContainerStats", context, engine_.tasks, [=, this]() -> Result<> {
    for (v1::ContainerStats& item : SelectContainerStats(request->filter())) *response->add_stats() = std::move(item);
    return {};
  });
}

grpc::ServerWriteReactor<v1::StreamContainerStatsResponse>* RuntimeService::StreamContainerStats(
    grpc::CallbackServerContext*, const v1::StreamContainerStatsRequest* request) {
  return new ListStream("StreamContainerStats", engine_.tasks, [this, filter = request->filter()] {
    return InChunks(SelectContainerStats(filter), &v1::StreamContainerStatsResponse::mutable_container_stats);
  });
}

grpc::ServerUnaryReactor* RuntimeService::PodSandboxStats(grpc::CallbackServerContext* context,
                                                          const v1::PodSandboxStatsRequest* request,
                                                          v1::PodSandboxStatsResponse* response) {
  return Serve("PodSandboxStats", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const sandbox::SandboxPtr record, GetSandbox(*engine_.store, request->pod_sandbox_id(), visible_));
    if (record->state != sandbox::SandboxState::kReady) {
      return Error::Make(ErrorCode::kFailedPrecondition, "pod sandbox ", record->id.str(), " is not ready");
    }
    const stats::PodSample sample = engine_.stats->Pod(record, engine_.store->ContainersOf(record->id));
    *response->mutable_stats() = ToPodSandboxStats(sample, config_.data_dir);
    return {};
  });
}

grpc::ServerUnaryReactor* RuntimeService::ListPodSandboxStats(grpc::CallbackServerContext* context,
                                                              const v1::ListPodSandboxStatsRequest* request,
                                                              v1::ListPodSandboxStatsResponse* response) {
  return Serve("ListPodSandboxStats", context, engine_.tasks, [=, this]() -> Result<> {
    for (v1::PodSandboxStats& item : SelectSandboxStats(request->filter())) *response->add_stats() = std::move(item);
    return {};
  });
}

grpc::ServerWriteReactor<v1::StreamPodSandboxStatsResponse>* RuntimeService::StreamPodSandboxStats(
    grpc::CallbackServerContext*, const v1::StreamPodSandboxStatsRequest* request) {
  return new ListStream("StreamPodSandboxStats", engine_.tasks, [this, filter = request->filter()] {
    return InChunks(SelectSandboxStats(filter), &v1::StreamPodSandboxStatsResponse::mutable_pod_sandbox_stats);
  });
}

grpc::ServerUnaryReactor* RuntimeService::ListMetricDescriptors(grpc::CallbackServerContext* context,
                                                                const v1::ListMetricDescriptorsRequest*,
                                                                v1::ListMetricDescriptorsResponse* response) {
  return ServeNow("ListMetricDescriptors", context, [&]() -> Result<> {
    for (const stats::MetricRow& row : stats::MetricTable()) *response->add_descriptors() = ToMetricDescriptor(row);
    return {};
  });
}

grpc::ServerUnaryReactor* RuntimeService::ListPodSandboxMetrics(grpc::CallbackServerContext* context,
                                                                const v1::ListPodSandboxMetricsRequest*,
                                                                v1::ListPodSandboxMetricsResponse* response) {
  return Serve("ListPodSandboxMetrics", context, engine_.tasks, [=, this]() -> Result<> {
    for (v1::PodSandboxMetrics& item : SelectMetrics()) *response->add_pod_metrics() = std::move(item);
    return {};
  });
}

grpc::ServerWriteReactor<v1::StreamPodSandboxMetricsResponse>* RuntimeService::StreamPodSandboxMetrics(
    grpc::CallbackServerContext*, const v1::StreamPodSandboxMetricsRequest*) {
  return new ListStream("StreamPodSandboxMetrics", engine_.tasks, [this] {
    return InChunks(SelectMetrics(), &v1::StreamPodSandboxMetricsResponse::mutable_pod_sandbox_metrics);
  });
}

}  // namespace fermata::cri
