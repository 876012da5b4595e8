// The names that clients ask for, each with a value and as many labels as keys.
#include "sandbox/stats/metric_table.h"

#include <gtest/gtest.h>

#include <set>

namespace fermata::sandbox::stats {
namespace {

// What a container or its pod always has a value of.
const std::set<std::string> kAlways = {"cpu_cfs_periods_total",
                                       "cpu_cfs_throttled_periods_total",
                                       "cpu_cfs_throttled_seconds_total",
                                       "cpu_system_seconds_total",
                                       "cpu_usage_seconds_total",
                                       "cpu_user_seconds_total",
                                       "file_descriptors",
                                       "fs_inodes_free",
                                       "fs_inodes_total",
                                       "fs_limit_bytes",
                                       "fs_usage_bytes",
                                       "last_seen",
                                       "memory_cache",
                                       "memory_failcnt",
                                       "memory_failures_total",
                                       "memory_kernel_usage",
                                       "memory_mapped_file",
                                       "memory_max_usage_bytes",
                                       "memory_rss",
                                       "memory_swap",
                                       "memory_usage_bytes",
                                       "memory_working_set_bytes",
                                       "network_receive_bytes_total",
                                       "network_receive_errors_total",
                                       "network_receive_packets_dropped_total",
                                       "network_receive_packets_total",
                                       "network_transmit_bytes_total",
                                       "network_transmit_errors_total",
                                       "network_transmit_packets_dropped_total",
                                       "network_transmit_packets_total",
                                       "oom_events_total",
                                       "processes",
                                       "sockets",
                                       "spec_cpu_period",
                                       "spec_cpu_shares",
                                       "spec_memory_limit_bytes",
                                       "spec_memory_swap_limit_bytes",
                                       "start_time_seconds",
                                       "threads",
                                       "threads_max"};
const std::set<std::string> kSometimes = {"blkio_device_usage_total",
                                          "fs_reads_bytes_total",
                                          "fs_reads_total",
                                          "fs_writes_bytes_total",
                                          "fs_writes_total",
                                          "hugetlb_max_usage_bytes",
                                          "hugetlb_usage_bytes",
                                          "pressure_cpu_stalled_seconds_total",
                                          "pressure_cpu_waiting_seconds_total",
                                          "pressure_io_stalled_seconds_total",
                                          "pressure_io_waiting_seconds_total",
                                          "pressure_memory_stalled_seconds_total",
                                          "pressure_memory_waiting_seconds_total",
                                          "spec_cpu_quota",
                                          "spec_memory_reservation_limit_bytes",
                                          "ulimits_soft"};

class MetricTableTest : public ::testing::Test {
 protected:
  MetricTableTest() {
    sandbox_.id = SandboxId("s");
    sandbox_.spec.name = "pod";
    sandbox_.spec.name_space = "space";
    sandbox_.containers_group = "fermata/pods/s";
    container_.id = ContainerId("c");
    container_.group = "fermata/pods/s/c";
    container_.spec.name = "main";
    container_.spec.image = "image:1";
    container_.started_at_ns = 50'000'000'000;
    container_.spec.resources.cpu_quota_us = 20000;
    group_.stats.cpu = cgroups::CpuStats{.usage_us = 3'900'000, .periods = 7};
    group_.stats.memory = cgroups::MemoryStats{.usage_bytes = 100, .working_set_bytes = 60};
  }
  std::vector<Metric> OfContainer() {
    return ReadMetrics({.sandbox = &sandbox_,
                        .container = &container_,
                        .group = &group_,
                        .details = &details_,
                        .processes = &processes_,
                        .layer = &layer_,
                        .now_ns = 99'000'000'000});
  }
  std::vector<Metric> OfPod() {
    return ReadMetrics({.sandbox = &sandbox_,
                        .group = &group_,
                        .details = &details_,
                        .interfaces = &interfaces_,
                        .now_ns = 99'000'000'000});
  }
  static std::vector<Metric> Named(const std::vector<Metric>& metrics, const std::string& name) {
    std::vector<Metric> found;
    for (const Metric& metric : metrics) {
      if (metric.row->name == "container_" + name) found.push_back(metric);
    }
    return found;
  }

  SandboxRecord sandbox_;
  ContainerRecord container_;
  GroupSample group_;
  cgroups::Details details_;
  ProcessCounts processes_{.processes = 2, .threads = 5, .files = 9, .sockets = 1, .soft_file_limit = 1024};
  LayerUsage layer_{.bytes = 4096, .inodes = 1, .device = "/dev/sda"};
  std::vector<Interface> interfaces_{{"eth0", {1, 2, 3, 4}, {5, 6, 7, 8}}, {"net1", {}, {}}};
};

TEST_F(MetricTableTest, DescribesEveryNameOnceAndNoOther) {
  std::set<std::string> described;
  for (const MetricRow& row : MetricTable()) {
    EXPECT_TRUE(described.insert(row.name).second) << row.name << " twice";
    EXPECT_FALSE(std::string(row.help).empty());
  }
  std::set<std::string> expected;
  for (const std::string& name : kAlways) expected.insert("container_" + name);
  for (const std::string& name : kSometimes) expected.insert("container_" + name);
  EXPECT_EQ(described, expected);
}

TEST_F(MetricTableTest, HasAValueForEveryNameAndALabelForEveryKey) {
  std::set<std::string> seen;
  for (const auto& metrics : {OfContainer(), OfPod()}) {
    for (const Metric& metric : metrics) {
      seen.insert(std::string(metric.row->name).substr(10));
      EXPECT_EQ(metric.labels.size(), MetricKeys().size() + metric.row->own_keys.size()) << metric.row->name;
    }
  }
  for (const std::string& name : kAlways) EXPECT_TRUE(seen.contains(name)) << name;
}

TEST_F(MetricTableTest, NamesContainerAndPodAsKubeletDoes) {
  const auto used = Named(OfContainer(), "cpu_usage_seconds_total");
  ASSERT_EQ(used.size(), 1U);
  EXPECT_EQ(used[0].value, 3U);
  EXPECT_EQ(used[0].labels,
            (std::vector<std::string>{"main", "/fermata/pods/s/c", "image:1", "c", "space", "pod", "total"}));
  const auto of_pod = Named(OfPod(), "cpu_usage_seconds_total");
  ASSERT_EQ(of_pod.size(), 1U);
  EXPECT_EQ(of_pod[0].labels, (std::vector<std::string>{"", "/fermata/pods/s", "", "s", "space", "pod", "total"}));
}

TEST_F(MetricTableTest, GivesTheNetworkOfThePodByInterface) {
  const auto dropped = Named(OfPod(), "network_transmit_packets_dropped_total");
  ASSERT_EQ(dropped.size(), 2U);
  EXPECT_EQ(dropped[0].labels.back(), "eth0");
  EXPECT_EQ(dropped[0].value, 8U);
  EXPECT_TRUE(Named(OfContainer(), "network_receive_bytes_total").empty());
}

TEST_F(MetricTableTest, GivesBlockDevicesByOperation) {
  details_.io.push_back({"0:4095", {.read_bytes = 10, .write_bytes = 20, .read_operations = 1, .write_operations = 2}});
  const auto usage = Named(OfContainer(), "blkio_device_usage_total");
  ASSERT_EQ(usage.size(), 2U);
  EXPECT_EQ(usage[1].value, 20U);
  EXPECT_EQ(std::vector<std::string>(usage[1].labels.end() - 4, usage[1].labels.end()),
            (std::vector<std::string>{"0:4095", "0", "4095", "Write"}));
  EXPECT_EQ(Named(OfContainer(), "fs_writes_total").at(0).value, 2U);
}

TEST_F(MetricTableTest, LeavesOutWhatIsNotKnown) {
  const auto metrics = ReadMetrics({.sandbox = &sandbox_, .container = &container_});
  EXPECT_TRUE(Named(metrics, "memory_rss").empty());
  EXPECT_TRUE(Named(metrics, "fs_usage_bytes").empty());
  EXPECT_EQ(Named(metrics, "spec_cpu_quota").at(0).value, 20000U);
  EXPECT_EQ(Named(metrics, "spec_cpu_period").at(0).value, 100000U) << "the kernel's default";
  EXPECT_EQ(Named(metrics, "start_time_seconds").at(0).value, 50U);
}

}  // namespace
}  // namespace fermata::sandbox::stats
