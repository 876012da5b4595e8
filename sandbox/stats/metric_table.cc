#include "sandbox/stats/metric_table.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "sandbox/stats/metric_readers.h"

namespace fermata::sandbox::stats {
namespace {

using cgroups::CpuStats;
using cgroups::MemoryStats;
using cgroups::Pressure;
using cgroups::Stats;
using Values = std::vector<MetricValue>;

constexpr uint64_t kMicroseconds = 1'000'000;    // of a second
constexpr int64_t kNanoseconds = 1'000'000'000;  // of a second
constexpr uint64_t kDefaultPeriodUs = 100'000;   // of the kernel
constexpr uint64_t kDefaultShares = 1024;        // of the kernel

constexpr std::array kKeys = {"container", "id", "image", "name", "namespace", "pod"};
constexpr std::array kFailureKeys = {"failure_type", "scope"};
constexpr std::array kDeviceKeys = {"device"};
constexpr std::array kBlockKeys = {"device", "major", "minor", "operation"};
constexpr std::array kInterfaceKeys = {"interface"};
constexpr std::array kPageKeys = {"pagesize"};
constexpr std::array kLimitKeys = {"ulimit"};
constexpr std::array kCpuKeys = {"cpu"};
constexpr std::span<const char* const> kNoKeys;

constexpr MetricKind kCounter = MetricKind::kCounter, kGauge = MetricKind::kGauge;
constexpr MetricScope kBoth = MetricScope::kBoth, kPod = MetricScope::kPod, kContainer = MetricScope::kContainer;

// A part of the input; nullptr: it is not there.
template <typename Part>
const Part* PartOf(const MetricInput& input);
template <>
const CpuStats* PartOf(const MetricInput& input) {
  return input.group != nullptr && input.group->stats.cpu ? &*input.group->stats.cpu : nullptr;
}
template <>
const MemoryStats* PartOf(const MetricInput& input) {
  return input.group != nullptr && input.group->stats.memory ? &*input.group->stats.memory : nullptr;
}
template <>
const GroupSample* PartOf(const MetricInput& input) {
  return input.group;
}
template <>
const cgroups::Details* PartOf(const MetricInput& input) {
  return input.details;
}
template <>
const ProcessCounts* PartOf(const MetricInput& input) {
  return input.processes;
}
template <>
const ContainerRecord* PartOf(const MetricInput& input) {
  return input.container;
}

template <typename Part>
void Add(uint64_t (*number)(const Part&), const MetricInput& input, Values& values) {
  if (const Part* part = PartOf<Part>(input)) values.push_back({{}, number(*part)});
}
// The reader of one number; nothing without the part that it is of.
template <auto Number>
void Of(const MetricInput& input, Values& values) {
  Add(Number, input, values);
}

constexpr auto kUsed = +[](const CpuStats& c) { return c.usage_us / kMicroseconds; };
constexpr auto kUser = +[](const CpuStats& c) { return c.user_us / kMicroseconds; };
constexpr auto kSystem = +[](const CpuStats& c) { return c.system_us / kMicroseconds; };
constexpr auto kPeriods = +[](const CpuStats& c) { return c.periods; };
constexpr auto kThrottled = +[](const CpuStats& c) { return c.throttled_periods; };
constexpr auto kThrottledTime = +[](const CpuStats& c) { return c.throttled_us / kMicroseconds; };
constexpr auto kCache = +[](const MemoryStats& m) { return m.file_bytes; };
constexpr auto kMapped = +[](const MemoryStats& m) { return m.mapped_file_bytes; };
constexpr auto kKernel = +[](const MemoryStats& m) { return m.kernel_bytes; };
constexpr auto kRss = +[](const MemoryStats& m) { return m.rss_bytes; };
constexpr auto kUsage = +[](const MemoryStats& m) { return m.usage_bytes; };
constexpr auto kWorkingSet = +[](const MemoryStats& m) { return m.working_set_bytes; };
constexpr auto kSwap = +[](const GroupSample& g) { return g.stats.swap_bytes.value_or(0); };
constexpr auto kLimitHits = +[](const cgroups::Details& d) { return d.memory_limit_hits.value_or(0); };
constexpr auto kPeak = +[](const cgroups::Details& d) { return d.memory_peak_bytes.value_or(0); };
constexpr auto kOomKills = +[](const cgroups::Details& d) { return d.oom_kills.value_or(0); };
constexpr auto kTasksLimit = +[](const cgroups::Details& d) { return d.pids_limit.value_or(0); };
constexpr auto kProcesses = +[](const ProcessCounts& p) { return p.processes; };
constexpr auto kThreads = +[](const ProcessCounts& p) { return p.threads; };
constexpr auto kFiles = +[](const ProcessCounts& p) { return p.files; };
constexpr auto kSockets = +[](const ProcessCounts& p) { return p.sockets; };

uint64_t NotNegative(int64_t number) { return number > 0 ? static_cast<uint64_t>(number) : 0; }
uint64_t OrDefault(uint64_t number, uint64_t otherwise) { return number != 0 ? number : otherwise; }
constexpr auto kPeriodLimit =
    +[](const ContainerRecord& c) { return OrDefault(c.spec.resources.cpu_period_us, kDefaultPeriodUs); };
constexpr auto kShares =
    +[](const ContainerRecord& c) { return OrDefault(c.spec.resources.cpu_shares, kDefaultShares); };
constexpr auto kMemoryLimit =
    +[](const ContainerRecord& c) { return NotNegative(c.spec.resources.memory_limit_bytes.value_or(0)); };
constexpr auto kReservation =
    +[](const ContainerRecord& c) { return NotNegative(c.spec.resources.memory_reservation_bytes.value_or(0)); };
constexpr auto kSwapLimit =
    +[](const ContainerRecord& c) { return NotNegative(c.spec.resources.swap_limit_bytes.value_or(0)); };
constexpr auto kStarted = +[](const ContainerRecord& c) { return NotNegative(c.started_at_ns / kNanoseconds); };

// Without a quota there is none to tell of.
void ReadQuota(const MetricInput& input, Values& values) {
  const int64_t quota = input.container == nullptr ? 0 : input.container->spec.resources.cpu_quota_us.value_or(0);
  if (quota > 0) values.push_back({{}, static_cast<uint64_t>(quota)});
}

void ReadUsedTime(const MetricInput& input, Values& values) {
  if (input.group != nullptr && input.group->stats.cpu) values.push_back({{"total"}, kUsed(*input.group->stats.cpu)});
}

void ReadNow(const MetricInput& input, Values& values) {
  values.push_back({{}, NotNegative(input.now_ns / kNanoseconds)});
}

// Kept in the kernel's older interface only; described, because clients ask for the name.
void ReadNothing(const MetricInput&, Values&) {}

template <std::optional<Pressure> Stats::*Resource>
constexpr MetricReader kStalled = ReadPressure<Resource, &Pressure::full>;
template <std::optional<Pressure> Stats::*Resource>
constexpr MetricReader kWaiting = ReadPressure<Resource, &Pressure::some>;
template <uint64_t TrafficCounters::*Field>
constexpr MetricReader kReceived = ReadTraffic<&Interface::received, Field>;
template <uint64_t TrafficCounters::*Field>
constexpr MetricReader kSent = ReadTraffic<&Interface::sent, Field>;
using Traffic = TrafficCounters;
using Io = cgroups::IoStats;

// clang-format off
constexpr MetricRow kTable[] = {
    {"container_cpu_usage_seconds_total", "Processor time used.", kCpuKeys, kCounter, kBoth, ReadUsedTime},
    {"container_cpu_user_seconds_total", "Processor time used in user mode.", kNoKeys, kCounter, kBoth, Of<kUser>},
    {"container_cpu_system_seconds_total", "Processor time used in the kernel.", kNoKeys, kCounter, kBoth, Of<kSystem>},
    {"container_cpu_cfs_periods_total", "Periods of the CPU quota that have elapsed.", kNoKeys, kCounter, kBoth, Of<kPeriods>},
    {"container_cpu_cfs_throttled_periods_total", "Periods in which the CPU quota was used up.", kNoKeys, kCounter, kBoth, Of<kThrottled>},
    {"container_cpu_cfs_throttled_seconds_total", "Time spent waiting for the next period of the CPU quota.", kNoKeys, kCounter, kBoth, Of<kThrottledTime>},
    {"container_memory_cache", "Bytes of page cache.", kNoKeys, kGauge, kBoth, Of<kCache>},
    {"container_memory_rss", "Bytes of anonymous memory.", kNoKeys, kGauge, kBoth, Of<kRss>},
    {"container_memory_kernel_usage", "Bytes of kernel memory.", kNoKeys, kGauge, kBoth, Of<kKernel>},
    {"container_memory_mapped_file", "Bytes of mapped files in memory.", kNoKeys, kGauge, kBoth, Of<kMapped>},
    {"container_memory_swap", "Bytes of memory that are swapped out.", kNoKeys, kGauge, kBoth, Of<kSwap>},
    {"container_memory_usage_bytes", "Bytes of memory in use, page cache included.", kNoKeys, kGauge, kBoth, Of<kUsage>},
    {"container_memory_working_set_bytes", "Bytes of memory in use without the inactive page cache.", kNoKeys, kGauge, kBoth, Of<kWorkingSet>},
    {"container_memory_max_usage_bytes", "Most bytes of memory that were ever in use.", kNoKeys, kGauge, kBoth, Of<kPeak>},
    {"container_memory_failcnt", "How often the memory limit was met.", kNoKeys, kCounter, kBoth, Of<kLimitHits>},
    {"container_memory_failures_total", "Page faults, by kind.", kFailureKeys, kCounter, kBoth, ReadFailures},
    {"container_oom_events_total", "Processes killed because memory ran out.", kNoKeys, kCounter, kBoth, Of<kOomKills>},
    {"container_hugetlb_usage_bytes", "Bytes of huge pages in use.", kPageKeys, kGauge, kBoth, ReadHugepages},
    {"container_hugetlb_max_usage_bytes", "Most bytes of huge pages that were ever in use.", kPageKeys, kGauge, kBoth, ReadNothing},
    {"container_pressure_cpu_stalled_seconds_total", "Time in which no task could run for want of a processor.", kNoKeys, kCounter, kBoth, kStalled<&Stats::cpu_pressure>},
    {"container_pressure_cpu_waiting_seconds_total", "Time in which some task waited for a processor.", kNoKeys, kCounter, kBoth, kWaiting<&Stats::cpu_pressure>},
    {"container_pressure_memory_stalled_seconds_total", "Time in which all tasks waited for memory.", kNoKeys, kCounter, kBoth, kStalled<&Stats::memory_pressure>},
    {"container_pressure_memory_waiting_seconds_total", "Time in which some task waited for memory.", kNoKeys, kCounter, kBoth, kWaiting<&Stats::memory_pressure>},
    {"container_pressure_io_stalled_seconds_total", "Time in which all tasks waited for a disk.", kNoKeys, kCounter, kBoth, kStalled<&Stats::io_pressure>},
    {"container_pressure_io_waiting_seconds_total", "Time in which some task waited for a disk.", kNoKeys, kCounter, kBoth, kWaiting<&Stats::io_pressure>},
    {"container_blkio_device_usage_total", "Bytes read and written, by block device.", kBlockKeys, kCounter, kBoth, ReadDeviceUsage},
    {"container_fs_reads_bytes_total", "Bytes read from a device.", kDeviceKeys, kCounter, kBoth, ReadDeviceIo<&Io::read_bytes>},
    {"container_fs_reads_total", "Reads from a device.", kDeviceKeys, kCounter, kBoth, ReadDeviceIo<&Io::read_operations>},
    {"container_fs_writes_bytes_total", "Bytes written to a device.", kDeviceKeys, kCounter, kBoth, ReadDeviceIo<&Io::write_bytes>},
    {"container_fs_writes_total", "Writes to a device.", kDeviceKeys, kCounter, kBoth, ReadDeviceIo<&Io::write_operations>},
    {"container_fs_usage_bytes", "Bytes that the writable layer takes.", kDeviceKeys, kGauge, kContainer, ReadLayer<&LayerUsage::bytes>},
    {"container_fs_limit_bytes", "Bytes that the file system of the writable layer has.", kDeviceKeys, kGauge, kContainer, ReadLayer<&LayerUsage::limit_bytes>},
    {"container_fs_inodes_free", "Free inodes of the file system of the writable layer.", kDeviceKeys, kGauge, kContainer, ReadLayer<&LayerUsage::inodes_free>},
    {"container_fs_inodes_total", "Inodes of the file system of the writable layer.", kDeviceKeys, kGauge, kContainer, ReadLayer<&LayerUsage::inodes_total>},
    {"container_network_receive_bytes_total", "Bytes received.", kInterfaceKeys, kCounter, kPod, kReceived<&Traffic::bytes>},
    {"container_network_receive_packets_total", "Packets received.", kInterfaceKeys, kCounter, kPod, kReceived<&Traffic::packets>},
    {"container_network_receive_packets_dropped_total", "Packets dropped while receiving.", kInterfaceKeys, kCounter, kPod, kReceived<&Traffic::dropped>},
    {"container_network_receive_errors_total", "Errors while receiving.", kInterfaceKeys, kCounter, kPod, kReceived<&Traffic::errors>},
    {"container_network_transmit_bytes_total", "Bytes sent.", kInterfaceKeys, kCounter, kPod, kSent<&Traffic::bytes>},
    {"container_network_transmit_packets_total", "Packets sent.", kInterfaceKeys, kCounter, kPod, kSent<&Traffic::packets>},
    {"container_network_transmit_packets_dropped_total", "Packets dropped while sending.", kInterfaceKeys, kCounter, kPod, kSent<&Traffic::dropped>},
    {"container_network_transmit_errors_total", "Errors while sending.", kInterfaceKeys, kCounter, kPod, kSent<&Traffic::errors>},
    {"container_processes", "Processes that run.", kNoKeys, kGauge, kContainer, Of<kProcesses>},
    {"container_threads", "Threads that run.", kNoKeys, kGauge, kContainer, Of<kThreads>},
    {"container_threads_max", "Most tasks that may run; 0: no limit.", kNoKeys, kGauge, kContainer, Of<kTasksLimit>},
    {"container_file_descriptors", "Open file descriptors.", kNoKeys, kGauge, kContainer, Of<kFiles>},
    {"container_sockets", "Open sockets.", kNoKeys, kGauge, kContainer, Of<kSockets>},
    {"container_ulimits_soft", "Soft resource limits of the first process.", kLimitKeys, kGauge, kContainer, ReadSoftLimits},
    {"container_spec_cpu_period", "Length of a period of the CPU quota, in microseconds.", kNoKeys, kGauge, kContainer, Of<kPeriodLimit>},
    {"container_spec_cpu_quota", "CPU quota of a period, in microseconds.", kNoKeys, kGauge, kContainer, ReadQuota},
    {"container_spec_cpu_shares", "CPU shares.", kNoKeys, kGauge, kContainer, Of<kShares>},
    {"container_spec_memory_limit_bytes", "Memory limit; 0: none.", kNoKeys, kGauge, kContainer, Of<kMemoryLimit>},
    {"container_spec_memory_reservation_limit_bytes", "Memory that is kept from reclaim; 0: none.", kNoKeys, kGauge, kContainer, Of<kReservation>},
    {"container_spec_memory_swap_limit_bytes", "Limit of memory and swap together; 0: none.", kNoKeys, kGauge, kContainer, Of<kSwapLimit>},
    {"container_start_time_seconds", "When it was started, in seconds since 1970.", kNoKeys, kGauge, kContainer, Of<kStarted>},
    {"container_last_seen", "When it was last looked at, in seconds since 1970.", kNoKeys, kGauge, kBoth, ReadNow},
};
// clang-format on

// The values of kKeys.
std::vector<std::string> LabelsOf(const MetricInput& input) {
  const SandboxSpec& pod = input.sandbox->spec;
  if (input.container == nullptr) {
    return {"", "/" + input.sandbox->containers_group, "", input.sandbox->id.str(), pod.name_space, pod.name};
  }
  const ContainerRecord& container = *input.container;
  return {container.spec.name, "/" + container.group, container.spec.image,
          container.id.str(),  pod.name_space,        pod.name};
}

}  // namespace

std::span<const char* const> MetricKeys() { return kKeys; }
std::span<const MetricRow> MetricTable() { return kTable; }

std::vector<Metric> ReadMetrics(const MetricInput& input) {
  const std::vector<std::string> labels = LabelsOf(input);
  const MetricScope left_out = input.container == nullptr ? kContainer : kPod;
  std::vector<Metric> metrics;
  std::vector<MetricValue> values;
  for (const MetricRow& row : kTable) {
    if (row.scope == left_out) continue;
    values.clear();
    row.read(input, values);
    for (MetricValue& value : values) {
      Metric& metric = metrics.emplace_back(Metric{&row, labels, value.value});
      std::move(value.labels.begin(), value.labels.end(), std::back_inserter(metric.labels));
    }
  }
  return metrics;
}

}  // namespace fermata::sandbox::stats
