// Statistics and metrics of pods that run, through the daemon; what every list and its stream give alike.
#include <map>
#include <set>
#include <thread>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {
namespace {

using grpc::StatusCode;

class StatsTest : public DaemonTest {
 protected:
  std::vector<v1::ContainerStats> Stats(const v1::ContainerStatsFilter& filter = {}) {
    v1::ListContainerStatsRequest request;
    v1::ListContainerStatsResponse response;
    *request.mutable_filter() = filter;
    EXPECT_TRUE(Ok(Call(*daemon().runtime, &v1::RuntimeService::Stub::ListContainerStats, request, &response)));
    return {response.stats().begin(), response.stats().end()};
  }
  grpc::Status TryStats(const std::string& id, v1::ContainerStats* stats) {
    v1::ContainerStatsRequest request;
    v1::ContainerStatsResponse response;
    request.set_container_id(id);
    auto status = Call(*daemon().runtime, &v1::RuntimeService::Stub::ContainerStats, request, &response);
    *stats = response.stats();
    return status;
  }
  grpc::Status TryPodStats(const std::string& id, v1::PodSandboxStats* stats) {
    v1::PodSandboxStatsRequest request;
    v1::PodSandboxStatsResponse response;
    request.set_pod_sandbox_id(id);
    auto status = Call(*daemon().runtime, &v1::RuntimeService::Stub::PodSandboxStats, request, &response);
    *stats = response.stats();
    return status;
  }
  // Everything that a stream of a list sends.
  template <typename Request, typename Response>
  std::vector<Response> Stream(std::unique_ptr<grpc::ClientReader<Response>> (v1::RuntimeService::Stub::*method)(
                                   grpc::ClientContext*, const Request&),
                               const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + Scaled(std::chrono::seconds(60)));
    const auto reader = (daemon().runtime.get()->*method)(&context, request);
    std::vector<Response> messages;
    for (Response message; reader->Read(&message);) messages.push_back(message);
    EXPECT_TRUE(Ok(reader->Finish()));
    return messages;
  }
};

const std::vector<std::string> kBusy = {
    "sh", "-c", "trap 'exit 0' TERM; dd if=/dev/zero of=/file bs=1M count=3; while :; do :; done"};

TEST_F(StatsTest, ShowsWhatARunningContainerUses) {
  const std::string pod = cri().RunPod("stats");
  auto config = Cri::ContainerConfig("busy", kBusy);
  (*config.mutable_labels())["kind"] = "busy";
  const std::string busy = cri().Run(pod, config);
  const std::string idle = cri().Create(pod, Cri::ContainerConfig("idle", {"sleep", "1000"}));

  v1::ContainerStats first, second;
  ASSERT_TRUE(Ok(TryStats(busy.substr(0, 20), &first)));
  EXPECT_EQ(first.attributes().id(), busy);
  EXPECT_EQ(first.attributes().metadata().name(), "busy");
  EXPECT_EQ(first.attributes().labels().at("kind"), "busy");
  EXPECT_GT(first.cpu().timestamp(), 0);
  EXPECT_GT(first.memory().timestamp(), 0);
  EXPECT_GT(first.memory().working_set_bytes().value(), 0U);
  EXPECT_GE(first.memory().usage_bytes().value(), first.memory().rss_bytes().value());
  ASSERT_TRUE(WaitUntil([&] { return TryStats(busy, &second).ok() && second.cpu().has_usage_nano_cores(); }));
  EXPECT_GT(second.cpu().timestamp(), first.cpu().timestamp());
  EXPECT_GT(second.cpu().usage_core_nano_seconds().value(), first.cpu().usage_core_nano_seconds().value());
  EXPECT_GT(second.cpu().usage_nano_cores().value(), 0U);
  // Counted in the background: three megabytes, some day.
  EXPECT_TRUE(WaitUntil(
      [&] { return TryStats(busy, &second).ok() && second.writable_layer().used_bytes().value() >= uint64_t{3} << 20; },
      std::chrono::seconds(60)));
  EXPECT_GE(second.writable_layer().inodes_used().value(), 2U);
  EXPECT_GT(second.writable_layer().timestamp(), 0);
  EXPECT_EQ(second.writable_layer().fs_id().mountpoint(), daemon().data_dir());

  EXPECT_EQ(Stats().size(), 2U);
  v1::ContainerStatsFilter filter;
  filter.set_pod_sandbox_id(pod);
  (*filter.mutable_label_selector())["kind"] = "busy";
  ASSERT_EQ(Stats(filter).size(), 1U);
  EXPECT_EQ(Stats(filter)[0].attributes().id(), busy);
  (*filter.mutable_label_selector())["kind"] = "other";
  EXPECT_TRUE(Stats(filter).empty());
  filter.Clear();
  filter.set_id(idle);
  ASSERT_EQ(Stats(filter).size(), 1U);
  EXPECT_FALSE(Stats(filter)[0].has_cpu()) << "it does not run yet";

  ASSERT_TRUE(Ok(cri().Stop(busy, 0)));
  ASSERT_TRUE(Ok(TryStats(busy, &second)));
  EXPECT_FALSE(second.has_cpu());
  EXPECT_FALSE(second.has_memory());
  EXPECT_TRUE(second.has_writable_layer());
  EXPECT_TRUE(Is(TryStats(std::string(64, 'f'), &second), StatusCode::NOT_FOUND, "ffff"));
  ASSERT_TRUE(Ok(cri().RemovePod(pod)));
}

TEST_F(StatsTest, ShowsWhatAPodUses) {
  const std::string pod = cri().RunPod("podstats");
  cri().Run(pod, Cri::ContainerConfig("one", {"sleep", "1000"}));
  const std::string exited = cri().Run(pod, Cri::ContainerConfig("two", {"true"}));
  cri().WaitExited(exited);
  v1::PodSandboxStats stats;
  ASSERT_TRUE(Ok(TryPodStats(pod, &stats)));
  EXPECT_EQ(stats.attributes().id(), pod);
  EXPECT_EQ(stats.attributes().metadata().name(), "podstats");
  EXPECT_GT(stats.linux().cpu().timestamp(), 0);
  EXPECT_GT(stats.linux().memory().usage_bytes().value(), 0U);
  EXPECT_GE(stats.linux().process().process_count().value(), 2U) << "pause and sleep";
  ASSERT_EQ(stats.linux().containers_size(), 1) << "one does not run";
  EXPECT_EQ(stats.linux().containers(0).attributes().metadata().name(), "one");
  EXPECT_EQ(stats.linux().network().default_interface().name(), "lo") << "this daemon has no network for pods";

  v1::PodSandboxConfig host = cri().PodConfig("hoststats");
  host.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(v1::NODE);
  const std::string host_pod = cri().RunPod(host);
  ASSERT_TRUE(Ok(TryPodStats(host_pod, &stats)));
  EXPECT_FALSE(stats.linux().has_network());

  ASSERT_TRUE(Ok(cri().StopPod(pod)));
  EXPECT_TRUE(Is(TryPodStats(pod, &stats), StatusCode::FAILED_PRECONDITION, "not ready"));
  EXPECT_TRUE(Is(TryPodStats("abcdef", &stats), StatusCode::NOT_FOUND, "abcdef"));
  v1::ListPodSandboxStatsResponse all;
  ASSERT_TRUE(Ok(
      Call(*daemon().runtime, &v1::RuntimeService::Stub::ListPodSandboxStats, v1::ListPodSandboxStatsRequest(), &all)));
  ASSERT_EQ(all.stats_size(), 1);
  EXPECT_EQ(all.stats(0).attributes().id(), host_pod);
  ASSERT_TRUE(Ok(cri().RemovePod(pod)));
  ASSERT_TRUE(Ok(cri().RemovePod(host_pod)));
}

TEST_F(StatsTest, HasAValueOfEveryMetricThatItDescribes) {
  const std::string pod = cri().RunPod("metrics");
  const std::string id = cri().Run(pod, Cri::ContainerConfig("main", {"sleep", "1000"}));
  v1::ListMetricDescriptorsResponse described;
  ASSERT_TRUE(Ok(Call(*daemon().runtime, &v1::RuntimeService::Stub::ListMetricDescriptors,
                      v1::ListMetricDescriptorsRequest(), &described)));
  std::map<std::string, int> keys;
  for (const auto& descriptor : described.descriptors()) {
    EXPECT_FALSE(descriptor.help().empty()) << descriptor.name();
    keys[descriptor.name()] = descriptor.label_keys_size();
  }
  EXPECT_GE(keys.size(), 56U);
  v1::ListPodSandboxMetricsResponse metrics;
  std::set<std::string> seen;
  const auto look = [&](const auto& list) {
    for (const auto& metric : list) {
      EXPECT_EQ(metric.label_values_size(), keys.at(metric.name())) << metric.name();
      EXPECT_TRUE(metric.has_value());
      seen.insert(metric.name());
    }
  };
  // The writable layer is counted in the background.
  ASSERT_TRUE(WaitUntil([&] {
    metrics.Clear();
    seen.clear();
    EXPECT_TRUE(Ok(Call(*daemon().runtime, &v1::RuntimeService::Stub::ListPodSandboxMetrics,
                        v1::ListPodSandboxMetricsRequest(), &metrics)));
    for (const auto& of_pod : metrics.pod_metrics()) {
      look(of_pod.metrics());
      for (const auto& container : of_pod.container_metrics()) look(container.metrics());
    }
    return seen.contains("container_fs_usage_bytes");
  }));
  ASSERT_EQ(metrics.pod_metrics_size(), 1);
  EXPECT_EQ(metrics.pod_metrics(0).pod_sandbox_id(), pod);
  ASSERT_EQ(metrics.pod_metrics(0).container_metrics_size(), 1);
  EXPECT_EQ(metrics.pod_metrics(0).container_metrics(0).container_id(), id);
  for (const char* name :
       {"cpu_usage_seconds_total", "memory_usage_bytes", "memory_failcnt", "network_receive_bytes_total", "processes",
        "threads", "file_descriptors", "start_time_seconds", "spec_cpu_shares"}) {
    EXPECT_TRUE(seen.contains(std::string("container_") + name)) << name;
  }
  ASSERT_TRUE(Ok(cri().RemovePod(pod)));
}

TEST_F(StatsTest, StreamsWhatItLists) {
  EXPECT_TRUE(Stream(&v1::RuntimeService::Stub::StreamPodSandboxes, v1::StreamPodSandboxesRequest()).empty());
  const std::string pod = cri().RunPod("streams");
  const std::string id = cri().Run(pod, Cri::ContainerConfig("main", {"sleep", "1000"}));
  const auto pods = Stream(&v1::RuntimeService::Stub::StreamPodSandboxes, v1::StreamPodSandboxesRequest());
  ASSERT_EQ(pods.size(), 1U);
  ASSERT_EQ(pods[0].pod_sandboxes_size(), 1);
  EXPECT_EQ(pods[0].pod_sandboxes(0).SerializeAsString(), cri().Pods().at(0).SerializeAsString());
  const auto containers = Stream(&v1::RuntimeService::Stub::StreamContainers, v1::StreamContainersRequest());
  ASSERT_EQ(containers.size(), 1U);
  EXPECT_EQ(containers[0].containers(0).id(), id);
  v1::StreamContainersRequest none;
  none.mutable_filter()->set_id(std::string(64, 'f'));
  EXPECT_TRUE(Stream(&v1::RuntimeService::Stub::StreamContainers, none).empty());
  const auto stats = Stream(&v1::RuntimeService::Stub::StreamContainerStats, v1::StreamContainerStatsRequest());
  ASSERT_EQ(stats.size(), 1U);
  EXPECT_EQ(stats[0].container_stats(0).attributes().id(), id);
  const auto pod_stats = Stream(&v1::RuntimeService::Stub::StreamPodSandboxStats, v1::StreamPodSandboxStatsRequest());
  ASSERT_EQ(pod_stats.size(), 1U);
  EXPECT_EQ(pod_stats[0].pod_sandbox_stats(0).attributes().id(), pod);
  const auto metrics = Stream(&v1::RuntimeService::Stub::StreamPodSandboxMetrics, v1::StreamPodSandboxMetricsRequest());
  ASSERT_EQ(metrics.size(), 1U);
  EXPECT_EQ(metrics[0].pod_sandbox_metrics(0).pod_sandbox_id(), pod);
  ASSERT_TRUE(Ok(cri().RemovePod(pod)));
}

}  // namespace
}  // namespace fermata::testing
