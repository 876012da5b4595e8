#include "cri/metrics_page.h"

#include <prometheus/text_serializer.h>

#include <limits>
#include <map>

#include "cri/process_facts.h"
#include "cri/version.h"
#include "runtime/base/operation.h"

namespace fermata::cri {
namespace {

using metrics::FamilyValue;
using metrics::Kind;

FamilyValue Gauge(const char* name, const char* help, std::vector<std::string> labels = {}) {
  return {name, help, Kind::kGauge, std::move(labels), {}};
}
FamilyValue Single(const char* name, const char* help, double value, Kind kind = Kind::kGauge) {
  return {name, help, kind, {}, {{{}, value, {}}}};
}
FamilyValue Counted(const char* name, const char* help, std::vector<std::string> labels,
                    const std::map<std::vector<std::string>, size_t>& counts) {
  FamilyValue family = Gauge(name, help, std::move(labels));
  for (const auto& [values, count] : counts) family.series.push_back({values, static_cast<double>(count), {}});
  return family;
}

using Counts = std::map<std::vector<std::string>, size_t>;

void AddRecords(const sandbox::Engine& engine, std::vector<FamilyValue>& families) {
  constexpr std::array kSandboxStates = {"creating", "ready", "notready"};
  constexpr std::array kContainerStates = {"created", "running", "exited", "unknown"};
  Counts sandboxes, containers;
  for (const char* owner : {"cri", "pods"}) {
    for (const char* state : kSandboxStates) sandboxes[{owner, state}] = 0;  // a line that goes would look like a gap
  }
  for (const char* state : kContainerStates) containers[{state}] = 0;
  for (const sandbox::SandboxPtr& one : engine.store->Sandboxes()) {
    const char* owner = one->spec.owner == sandbox::Owner::kCri ? "cri" : "pods";
    ++sandboxes[{owner, kSandboxStates.at(static_cast<size_t>(one->state))}];
  }
  for (const sandbox::ContainerPtr& one : engine.store->Containers()) {
    ++containers[{kContainerStates.at(static_cast<size_t>(one->state))}];
  }
  families.push_back(Counted("fermata_sandboxes", "Pod sandboxes by owner and state", {"owner", "state"}, sandboxes));
  families.push_back(Counted("fermata_containers", "Containers by state", {"state"}, containers));
}

void AddOperations(const sandbox::Engine& engine, std::vector<FamilyValue>& families) {
  Counts counts;
  for (const OperationReport& operation : Operations()) ++counts[{operation.name}];
  families.push_back(Counted("fermata_operations_in_flight", "Operations under way", {"operation"}, counts));
  const TaskPool::Load load = engine.tasks.Now();
  families.push_back(Single("fermata_tasks_queued", "Work that no thread has taken yet", load.queued));
  families.push_back(Counted("fermata_task_threads", "Threads of the pool that runs what may wait", {"state"},
                             {{{"busy"}, load.threads - load.idle_threads}, {{"idle"}, load.idle_threads}}));
}

void AddAudit(const MetricsSources& sources, std::vector<FamilyValue>& families) {
  Counts known, found, unaccounted;
  for (const sandbox::AuditLine& line : sandbox::Audit(sources.engine, AuditedNetworkOf(sources.network))) {
    known[{line.kind}] = line.known;
    found[{line.kind}] = line.found;
    unaccounted[{line.kind}] = line.unaccounted.size();
  }
  families.push_back(Counted("fermata_audit_known", "Objects that the records tell of", {"kind"}, known));
  families.push_back(Counted("fermata_audit_found", "Objects that the kernel shows", {"kind"}, found));
  families.push_back(
      Counted("fermata_audit_unaccounted", "Objects that no record accounts for: leaks", {"kind"}, unaccounted));
}

void AddProcess(std::vector<FamilyValue>& families) {
  const ProcessFacts facts = ReadProcessFacts();
  families.push_back(Single("process_resident_memory_bytes", "Resident memory of the daemon", facts.resident_bytes));
  families.push_back(Single("process_virtual_memory_bytes", "Virtual memory of the daemon", facts.virtual_bytes));
  families.push_back(Single("process_open_fds", "Open descriptors of the daemon", facts.open_fds));
  families.push_back(Single("process_max_fds", "How many it may have", facts.max_fds));
  families.push_back(Single("process_threads", "Threads of the daemon", facts.threads));
  families.push_back(Single("process_start_time_seconds", "When it was started, since 1970", facts.start_time_seconds));
  families.push_back(
      Single("process_cpu_seconds_total", "Processor time of the daemon", facts.cpu_seconds, Kind::kCounter));
}

prometheus::ClientMetric MetricOf(const FamilyValue& family, const metrics::SeriesValue& series) {
  prometheus::ClientMetric metric;
  for (size_t i = 0; i < family.labels.size(); ++i) metric.label.push_back({family.labels[i], series.labels[i]});
  if (family.kind == Kind::kCounter) metric.counter.value = series.value;
  if (family.kind == Kind::kGauge) metric.gauge.value = series.value;
  if (family.kind != Kind::kHistogram) return metric;
  uint64_t below = 0;
  for (size_t i = 0; i < series.buckets.size(); ++i) {
    below += series.buckets[i];
    const bool last = i == metrics::kBounds.size();
    metric.histogram.bucket.push_back({below, last ? std::numeric_limits<double>::infinity() : metrics::kBounds[i]});
  }
  metric.histogram.sample_count = below;
  metric.histogram.sample_sum = series.value;
  return metric;
}

prometheus::MetricType TypeOf(Kind kind) {
  if (kind == Kind::kCounter) return prometheus::MetricType::Counter;
  return kind == Kind::kGauge ? prometheus::MetricType::Gauge : prometheus::MetricType::Histogram;
}

}  // namespace

sandbox::AuditedNetwork AuditedNetworkOf(const sandbox::PodNetwork& network) {
  return {.attached =
              [&network] {
                std::vector<std::string> ids;
                for (const sandbox::Attachment& attachment : network.Attachments()) ids.push_back(attachment.id);
                return ids;
              },
          .pinned = [&network] { return network.Pinned(); }};
}

std::vector<FamilyValue> MomentaryMetrics(const MetricsSources& sources) {
  std::vector<FamilyValue> families;
  FamilyValue build = Gauge("fermata_build_info", "The version; the value is always 1", {"version"});
  build.series.push_back({{kRuntimeVersion}, 1, {}});
  families.push_back(std::move(build));
  AddRecords(sources.engine, families);
  AddOperations(sources.engine, families);
  families.push_back(Single("fermata_monitors", "Monitors that are connected",
                            static_cast<double>(sources.engine.live.CountMonitors())));
  size_t owed = 0;
  for (const sandbox::Attachment& attachment : sources.network.Attachments()) owed += attachment.owed ? 1 : 0;
  families.push_back(Single("fermata_network_debts", "Networks of pods that are still to be taken down", owed));
  families.push_back(Single("fermata_streaming_connections", "Connections of exec, attach and port-forward over HTTP",
                            static_cast<double>(sources.streams.connections())));
  AddAudit(sources, families);
  AddProcess(families);
  return families;
}

std::string MetricsText(const std::vector<FamilyValue>& families) {
  std::vector<prometheus::MetricFamily> all;
  for (const FamilyValue& family : families) {
    if (family.series.empty()) continue;  // a name without a line would say nothing
    auto& one = all.emplace_back(prometheus::MetricFamily{family.name, family.help, TypeOf(family.kind),
                                                          std::vector<prometheus::ClientMetric>{}});
    for (const metrics::SeriesValue& series : family.series) one.metric.push_back(MetricOf(family, series));
  }
  return prometheus::TextSerializer().Serialize(all);
}

std::string MetricsPage(const MetricsSources& sources) {
  std::vector<FamilyValue> families = metrics::Collect();
  for (FamilyValue& family : MomentaryMetrics(sources)) families.push_back(std::move(family));
  return MetricsText(families);
}

}  // namespace fermata::cri
