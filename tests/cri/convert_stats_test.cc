// What was measured as the CRI's messages: what is not known is absent, not zero.
#include "cri/convert_stats.h"

#include <gtest/gtest.h>

#include "cri/list_stream.h"

namespace fermata::cri {
namespace {

using sandbox::stats::ContainerSample;
using sandbox::stats::GroupSample;
using sandbox::stats::PodSample;

sandbox::ContainerPtr Container() {
  auto record = std::make_shared<sandbox::ContainerRecord>();
  record->id = sandbox::ContainerId(std::string(64, 'c'));
  record->sandbox = sandbox::SandboxId(std::string(64, 'a'));
  record->spec.name = "main";
  record->spec.labels = {{"l", "1"}};
  return record;
}

GroupSample FullGroup() {
  GroupSample group;
  group.stats.timestamp_ns = 5;
  group.stats.cpu = cgroups::CpuStats{.usage_us = 7};
  group.stats.memory =
      cgroups::MemoryStats{.usage_bytes = 100, .working_set_bytes = 60, .rss_bytes = 50, .limit_bytes = 200};
  group.stats.swap_bytes = 30;
  group.stats.swap_limit_bytes = 20;
  group.stats.io_pressure = cgroups::Pressure{.some = {.average10 = 1.5, .total_us = 9}};
  group.usage_nano_cores = 11;
  return group;
}

TEST(ToContainerStats, FillsWhatIsKnown) {
  ContainerSample sample{.record = Container(), .group = FullGroup()};
  sample.layer = sandbox::stats::LayerUsage{.bytes = 4096, .inodes = 2, .measured_at_ns = 3};
  const v1::ContainerStats stats = ToContainerStats(sample, "/data");
  EXPECT_EQ(stats.attributes().metadata().name(), "main");
  EXPECT_EQ(stats.attributes().labels().at("l"), "1");
  EXPECT_EQ(stats.cpu().timestamp(), 5);
  EXPECT_EQ(stats.cpu().usage_core_nano_seconds().value(), 7000U);
  EXPECT_EQ(stats.cpu().usage_nano_cores().value(), 11U);
  EXPECT_EQ(stats.memory().available_bytes().value(), 140U);
  EXPECT_EQ(stats.swap().swap_usage_bytes().value(), 30U);
  EXPECT_EQ(stats.swap().swap_available_bytes().value(), 0U) << "never below nothing";
  EXPECT_EQ(stats.io().psi().some().total(), 9000U);
  EXPECT_DOUBLE_EQ(stats.io().psi().some().avg10(), 1.5);
  EXPECT_FALSE(stats.cpu().has_psi());
  EXPECT_EQ(stats.writable_layer().timestamp(), 3);
  EXPECT_EQ(stats.writable_layer().fs_id().mountpoint(), "/data");
}

TEST(ToContainerStats, LeavesOutWhatIsNot) {
  ContainerSample sample{.record = Container()};
  EXPECT_FALSE(ToContainerStats(sample, "/data").has_cpu());
  sample.group = GroupSample();
  sample.group->stats.cpu = cgroups::CpuStats();
  const v1::ContainerStats stats = ToContainerStats(sample, "/data");
  EXPECT_TRUE(stats.has_cpu());
  EXPECT_FALSE(stats.cpu().has_usage_nano_cores());
  EXPECT_FALSE(stats.has_memory());
  EXPECT_FALSE(stats.has_swap());
  EXPECT_FALSE(stats.has_io());
  EXPECT_FALSE(stats.has_writable_layer());
}

TEST(ToPodSandboxStats, SetsTheDefaultInterfaceApart) {
  PodSample sample{.record = std::make_shared<sandbox::SandboxRecord>(), .group = FullGroup()};
  sample.interfaces = {{"net1", {1, 0, 0, 0}, {}}, {"eth0", {2, 0, 3, 0}, {4, 0, 5, 0}}};
  sample.processes = 3;
  const v1::LinuxPodSandboxStats stats = ToPodSandboxStats(sample, "/data").linux();
  EXPECT_EQ(stats.network().default_interface().name(), "eth0");
  EXPECT_EQ(stats.network().default_interface().rx_errors().value(), 3U);
  EXPECT_EQ(stats.network().default_interface().tx_bytes().value(), 4U);
  ASSERT_EQ(stats.network().interfaces_size(), 1);
  EXPECT_EQ(stats.network().interfaces(0).name(), "net1");
  EXPECT_EQ(stats.process().process_count().value(), 3U);
}

TEST(Matches, HoldsStatsFiltersToAllFields) {
  const sandbox::ContainerPtr record = Container();
  v1::ContainerStatsFilter filter;
  EXPECT_TRUE(Matches(filter, *record));
  filter.set_id("cccc");
  filter.set_pod_sandbox_id(record->sandbox.str());
  (*filter.mutable_label_selector())["l"] = "1";
  EXPECT_TRUE(Matches(filter, *record));
  (*filter.mutable_label_selector())["l"] = "2";
  EXPECT_FALSE(Matches(filter, *record));
}

TEST(ToContainerEvent, GivesARemovedSandboxNoStatus) {
  sandbox::Event event{.id = "s", .of_sandbox = true, .type = sandbox::EventType::kDeleted, .created_at_ns = 8};
  const v1::ContainerEventResponse out = ToContainerEvent(event);
  EXPECT_EQ(out.container_id(), "s");
  EXPECT_EQ(out.container_event_type(), v1::CONTAINER_DELETED_EVENT);
  EXPECT_EQ(out.created_at(), 8);
  EXPECT_FALSE(out.has_pod_sandbox_status());
}

TEST(InChunks, KeepsOrderAndSize) {
  std::vector<v1::PodSandbox> items(10);
  for (size_t i = 0; i < items.size(); ++i) items[i].set_id(std::to_string(i) + std::string(99, 'x'));
  const auto chunks = InChunks(items, &v1::StreamPodSandboxesResponse::mutable_pod_sandboxes, 350);
  ASSERT_EQ(chunks.size(), 4U) << "three of a hundred bytes in each";
  int next = 0;
  for (const auto& chunk : chunks) {
    EXPECT_LT(chunk.ByteSizeLong(), 400U);
    for (const auto& item : chunk.pod_sandboxes()) EXPECT_EQ(item.id()[0], '0' + next++);
  }
  EXPECT_EQ(next, 10);
  EXPECT_EQ(InChunks(items, &v1::StreamPodSandboxesResponse::mutable_pod_sandboxes, 1).size(), 10U);
  EXPECT_TRUE(InChunks(std::vector<v1::PodSandbox>(), &v1::StreamPodSandboxesResponse::mutable_pod_sandboxes).empty());
}

}  // namespace
}  // namespace fermata::cri
