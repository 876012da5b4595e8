#include "cri/convert_stats.h"

#include <algorithm>
#include <optional>

#include "cri/convert.h"

namespace fermata::cri {
namespace {

constexpr uint64_t kNanosecondsOfMicrosecond = 1000;

using sandbox::stats::GroupSample;

void Set(v1::UInt64Value* out, uint64_t value) { out->set_value(value); }

void FillPressureLine(const cgroups::PressureLine& line, v1::PsiData& out) {
  out.set_total(line.total_us * kNanosecondsOfMicrosecond);
  out.set_avg10(line.average10);
  out.set_avg60(line.average60);
  out.set_avg300(line.average300);
}

// Of a message that has a `psi`.
template <typename Usage>
void FillPressure(const std::optional<cgroups::Pressure>& pressure, Usage& out) {
  if (!pressure) return;
  FillPressureLine(pressure->full, *out.mutable_psi()->mutable_full());
  FillPressureLine(pressure->some, *out.mutable_psi()->mutable_some());
}

void FillCpu(const GroupSample& sample, v1::CpuUsage& out) {
  out.set_timestamp(sample.stats.timestamp_ns);
  Set(out.mutable_usage_core_nano_seconds(), sample.stats.cpu->usage_us * kNanosecondsOfMicrosecond);
  if (sample.usage_nano_cores) Set(out.mutable_usage_nano_cores(), *sample.usage_nano_cores);
  FillPressure(sample.stats.cpu_pressure, out);
}

void FillMemory(const GroupSample& sample, v1::MemoryUsage& out) {
  const cgroups::MemoryStats& memory = *sample.stats.memory;
  out.set_timestamp(sample.stats.timestamp_ns);
  Set(out.mutable_working_set_bytes(), memory.working_set_bytes);
  Set(out.mutable_usage_bytes(), memory.usage_bytes);
  Set(out.mutable_rss_bytes(), memory.rss_bytes);
  if (memory.limit_bytes) {
    Set(out.mutable_available_bytes(), *memory.limit_bytes - std::min(*memory.limit_bytes, memory.working_set_bytes));
  }
  if (memory.page_faults) Set(out.mutable_page_faults(), *memory.page_faults);
  if (memory.major_page_faults) Set(out.mutable_major_page_faults(), *memory.major_page_faults);
  FillPressure(sample.stats.memory_pressure, out);
}

void FillSwap(const GroupSample& sample, v1::SwapUsage& out) {
  out.set_timestamp(sample.stats.timestamp_ns);
  const uint64_t used = *sample.stats.swap_bytes;
  Set(out.mutable_swap_usage_bytes(), used);
  if (const auto& limit = sample.stats.swap_limit_bytes)
    Set(out.mutable_swap_available_bytes(), *limit - std::min(*limit, used));
}

// The parts that a container's and a pod's message have in common. PodSandboxStats has no message for swap.
template <typename Message>
void FillGroup(const GroupSample& sample, Message& out) {
  if (sample.stats.cpu) FillCpu(sample, *out.mutable_cpu());
  if (sample.stats.memory) FillMemory(sample, *out.mutable_memory());
  if (sample.stats.io || sample.stats.io_pressure) {
    out.mutable_io()->set_timestamp(sample.stats.timestamp_ns);
    FillPressure(sample.stats.io_pressure, *out.mutable_io());
  }
}

void FillInterface(const sandbox::stats::Interface& interface, v1::NetworkInterfaceUsage& out) {
  out.set_name(interface.name);
  Set(out.mutable_rx_bytes(), interface.received.bytes);
  Set(out.mutable_rx_errors(), interface.received.errors);
  Set(out.mutable_tx_bytes(), interface.sent.bytes);
  Set(out.mutable_tx_errors(), interface.sent.errors);
}

void FillNetwork(const sandbox::stats::PodSample& sample, v1::NetworkUsage& out) {
  out.set_timestamp(sample.network_at_ns);
  const sandbox::stats::Interface* first = DefaultInterface(sample.interfaces);
  for (const sandbox::stats::Interface& interface : sample.interfaces) {
    FillInterface(interface, &interface == first ? *out.mutable_default_interface() : *out.add_interfaces());
  }
}

v1::ContainerEventType ToEventType(sandbox::EventType type) { return static_cast<v1::ContainerEventType>(type); }
static_assert(static_cast<int>(sandbox::EventType::kCreated) == v1::CONTAINER_CREATED_EVENT);
static_assert(static_cast<int>(sandbox::EventType::kStarted) == v1::CONTAINER_STARTED_EVENT);
static_assert(static_cast<int>(sandbox::EventType::kStopped) == v1::CONTAINER_STOPPED_EVENT);
static_assert(static_cast<int>(sandbox::EventType::kDeleted) == v1::CONTAINER_DELETED_EVENT);

}  // namespace

v1::ContainerStats ToContainerStats(const sandbox::stats::ContainerSample& sample, const std::string& mountpoint) {
  v1::ContainerStats out;
  v1::Container described = ToContainer(*sample.record);
  v1::ContainerAttributes& attributes = *out.mutable_attributes();
  attributes.set_id(described.id());
  attributes.mutable_metadata()->Swap(described.mutable_metadata());
  attributes.mutable_labels()->swap(*described.mutable_labels());
  attributes.mutable_annotations()->swap(*described.mutable_annotations());
  if (sample.layer) {
    v1::FilesystemUsage& layer = *out.mutable_writable_layer();
    layer.set_timestamp(sample.layer->measured_at_ns);
    layer.mutable_fs_id()->set_mountpoint(mountpoint);
    Set(layer.mutable_used_bytes(), sample.layer->bytes);
    Set(layer.mutable_inodes_used(), sample.layer->inodes);
  }
  if (!sample.group) return out;
  FillGroup(*sample.group, out);
  if (sample.group->stats.swap_bytes) FillSwap(*sample.group, *out.mutable_swap());
  return out;
}

v1::PodSandboxStats ToPodSandboxStats(const sandbox::stats::PodSample& sample, const std::string& mountpoint) {
  v1::PodSandboxStats out;
  v1::PodSandbox described = ToPodSandbox(*sample.record);
  v1::PodSandboxAttributes& attributes = *out.mutable_attributes();
  attributes.set_id(described.id());
  attributes.mutable_metadata()->Swap(described.mutable_metadata());
  attributes.mutable_labels()->swap(*described.mutable_labels());
  attributes.mutable_annotations()->swap(*described.mutable_annotations());
  v1::LinuxPodSandboxStats& linux_stats = *out.mutable_linux();
  if (sample.group) FillGroup(*sample.group, linux_stats);
  if (!sample.interfaces.empty()) FillNetwork(sample, *linux_stats.mutable_network());
  if (sample.processes) {
    linux_stats.mutable_process()->set_timestamp(sample.group ? sample.group->stats.timestamp_ns
                                                              : sample.network_at_ns);
    Set(linux_stats.mutable_process()->mutable_process_count(), *sample.processes);
  }
  for (const sandbox::stats::ContainerSample& container : sample.containers) {
    *linux_stats.add_containers() = ToContainerStats(container, mountpoint);
  }
  return out;
}

v1::MetricDescriptor ToMetricDescriptor(const sandbox::stats::MetricRow& row) {
  v1::MetricDescriptor out;
  out.set_name(row.name);
  out.set_help(row.help);
  for (const char* key : sandbox::stats::MetricKeys()) out.add_label_keys(key);
  for (const char* key : row.own_keys) out.add_label_keys(key);
  return out;
}

// Timestamp 0: it is of now.
v1::Metric ToMetric(const sandbox::stats::Metric& metric) {
  v1::Metric out;
  out.set_name(metric.row->name);
  out.set_metric_type(metric.row->kind == sandbox::stats::MetricKind::kCounter ? v1::COUNTER : v1::GAUGE);
  for (const std::string& label : metric.labels) out.add_label_values(label);
  Set(out.mutable_value(), metric.value);
  return out;
}

v1::ContainerEventResponse ToContainerEvent(const sandbox::Event& event) {
  v1::ContainerEventResponse out;
  out.set_container_id(event.id);
  out.set_container_event_type(ToEventType(event.type));
  out.set_created_at(event.created_at_ns);
  if (event.sandbox != nullptr) *out.mutable_pod_sandbox_status() = ToPodSandboxStatus(*event.sandbox);
  for (const sandbox::ContainerPtr& container : event.containers) {
    *out.add_containers_statuses() = ToContainerStatus(*container);
  }
  return out;
}

bool Matches(const v1::ContainerStatsFilter& filter, const sandbox::ContainerRecord& record) {
  v1::ContainerFilter same;
  same.set_id(filter.id());
  same.set_pod_sandbox_id(filter.pod_sandbox_id());
  *same.mutable_label_selector() = filter.label_selector();
  return Matches(same, record);
}

bool Matches(const v1::PodSandboxStatsFilter& filter, const sandbox::SandboxRecord& record) {
  v1::PodSandboxFilter same;
  same.set_id(filter.id());
  *same.mutable_label_selector() = filter.label_selector();
  return Matches(same, record);
}

}  // namespace fermata::cri
