// Pods through their whole life by gRPC, four at a time; the rules that hold for every call; nothing is left.
#include <thread>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {
namespace {

constexpr int kPods = 20;
constexpr int kParallel = 4;
const char* const kForever = "trap 'exit 0' TERM; echo up; while :; do usleep 20000; done";

class LifeTest : public DaemonTest {};

void ExpectLists(Cri cri, const std::string& pod, const std::string& container, const std::string& label) {
  v1::PodSandboxFilter pods;
  (*pods.mutable_label_selector())["life"] = label;
  pods.mutable_state()->set_state(v1::SANDBOX_READY);
  auto found = cri.Pods(pods);
  ASSERT_EQ(found.size(), 1U) << label;
  EXPECT_EQ(found[0].id(), pod);
  EXPECT_EQ(found[0].metadata().uid(), label + "-uid");
  EXPECT_EQ(found[0].annotations().at("note"), "kept");
  EXPECT_EQ(found[0].labels_size(), 1);
  pods.mutable_state()->set_state(v1::SANDBOX_NOTREADY);
  EXPECT_TRUE(cri.Pods(pods).empty());

  v1::ContainerFilter filter;
  filter.set_pod_sandbox_id(pod);
  EXPECT_EQ(cri.Containers(filter).size(), 2U);
  filter.mutable_state()->set_state(v1::CONTAINER_RUNNING);
  EXPECT_EQ(cri.Containers(filter).size(), 2U);
  filter.set_id(container.substr(0, 20));
  const auto one = cri.Containers(filter);
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].id(), container);
  EXPECT_EQ(one[0].pod_sandbox_id(), pod);
  EXPECT_FALSE(one[0].image_id().empty());
  EXPECT_EQ(one[0].image_id(), one[0].image_ref());
  filter.mutable_state()->set_state(v1::CONTAINER_EXITED);
  EXPECT_TRUE(cri.Containers(filter).empty());
}

void ExpectRunningStatus(Cri cri, const std::string& id) {
  const v1::ContainerStatus status = cri.Status(id.substr(0, 40));
  EXPECT_EQ(status.id(), id);
  EXPECT_EQ(status.state(), v1::CONTAINER_RUNNING);
  EXPECT_EQ(status.image().image(), kBusyboxImage);
  EXPECT_GT(status.created_at(), 0);
  EXPECT_GE(status.started_at(), status.created_at());
  EXPECT_EQ(status.finished_at(), 0);
  EXPECT_EQ(status.stop_signal(), v1::SIGNAL_SIGTERM);
}

void RotateLog(Cri cri, const std::string& id, const std::string& path) {
  ASSERT_TRUE(WaitUntil([&] { return JoinedLog(path) == "up\n"; })) << ReadText(path);
  std::filesystem::rename(path, path + ".1");
  ASSERT_TRUE(Ok(cri.ReopenLog(id)));
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_EQ(JoinedLog(path + ".1"), "up\n");
}

void WholeLife(Cri cri, const std::string& name) {
  v1::PodSandboxConfig config = cri.PodConfig(name);
  (*config.mutable_labels())["life"] = name;
  (*config.mutable_annotations())["note"] = "kept";
  const std::string pod = cri.RunPod(config);
  ASSERT_EQ(pod.size(), 64U);
  const std::string first = cri.Create(pod, Cri::ContainerConfig("first", {"sh", "-c", kForever}));
  const std::string second = cri.Create(pod, Cri::ContainerConfig("second", {"sleep", "1000"}));
  EXPECT_EQ(cri.Status(first).state(), v1::CONTAINER_CREATED);
  EXPECT_EQ(cri.Status(first).started_at(), 0);
  ASSERT_TRUE(Ok(cri.TryStart(first)));
  ASSERT_TRUE(Ok(cri.TryStart(second)));
  ExpectRunningStatus(cri, first);
  ExpectLists(cri, pod, first, name);
  EXPECT_EQ(cri.Shell(first, "hostname"), name);
  EXPECT_EQ(cri.Exec(second, {"sh", "-c", "exit 17"}).code, 17);
  RotateLog(cri, first, cri.LogDirectory(name) + "/first.log");
  ASSERT_TRUE(Ok(cri.Stop(first, 30)));
  const v1::ContainerStatus stopped = cri.Status(first);
  EXPECT_EQ(stopped.state(), v1::CONTAINER_EXITED);
  EXPECT_EQ(stopped.exit_code(), 0);
  EXPECT_EQ(stopped.reason(), "Completed");
  EXPECT_GE(stopped.finished_at(), stopped.started_at());
  EXPECT_TRUE(Ok(cri.Remove(first)));
  v1::ContainerStatusResponse gone;
  EXPECT_EQ(cri.TryStatus(first, &gone).error_code(), grpc::StatusCode::NOT_FOUND);
  ASSERT_TRUE(Ok(cri.StopPod(pod)));
  EXPECT_EQ(cri.PodStatus(pod).state(), v1::SANDBOX_NOTREADY);
  EXPECT_EQ(cri.Status(second).state(), v1::CONTAINER_EXITED);
  EXPECT_EQ(cri.Status(second).exit_code(), 137);
  ASSERT_TRUE(Ok(cri.RemovePod(pod)));
  v1::ContainerFilter of_pod;
  of_pod.set_pod_sandbox_id(pod);
  EXPECT_TRUE(cri.Containers(of_pod).empty());
  EXPECT_TRUE(std::filesystem::exists(cri.LogDirectory(name) + "/first.log")) << "the log is kubelet's to remove";
}

TEST_F(LifeTest, TwentyPodsLiveAndEndAndLeaveNothing) {
  const LeakAudit before = daemon().Audit();
  std::vector<std::thread> workers;
  for (int worker = 0; worker < kParallel; ++worker) {
    workers.emplace_back([this, worker] {
      for (int i = worker; i < kPods; i += kParallel) WholeLife(cri(), "pod-" + std::to_string(i));
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_TRUE(cri().Pods().empty());
  EXPECT_TRUE(daemon().NothingLeakedSince(before));
}

TEST_F(LifeTest, VersionAndStatusAreWhatClientsCheckOnConnect) {
  v1::VersionResponse version;
  ASSERT_TRUE(Ok(Call(*daemon().runtime, &v1::RuntimeService::Stub::Version, v1::VersionRequest(), &version)));
  EXPECT_EQ(version.version(), "0.1.0");
  EXPECT_EQ(version.runtime_api_version(), "v1");
  EXPECT_FALSE(version.runtime_name().empty());
  EXPECT_FALSE(version.runtime_version().empty());
  v1::StatusRequest request;
  request.set_verbose(true);
  v1::StatusResponse status;
  ASSERT_TRUE(Ok(Call(*daemon().runtime, &v1::RuntimeService::Stub::Status, request, &status)));
  std::map<std::string, bool> conditions;
  for (const v1::RuntimeCondition& condition : status.status().conditions())
    conditions[condition.type()] = condition.status();
  EXPECT_TRUE(conditions.at("RuntimeReady"));
  EXPECT_TRUE(conditions.contains("NetworkReady"));
  EXPECT_NE(status.info().at("config").find(daemon().run_dir()), std::string::npos);
  v1::RuntimeConfigResponse config;
  ASSERT_TRUE(
      Ok(Call(*daemon().runtime, &v1::RuntimeService::Stub::RuntimeConfig, v1::RuntimeConfigRequest(), &config)));
  EXPECT_EQ(config.linux().cgroup_driver(), v1::CGROUPFS);
  v1::ImageFsInfoResponse usage;
  ASSERT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::ImageFsInfo, v1::ImageFsInfoRequest(), &usage)));
  ASSERT_GE(usage.image_filesystems_size(), 1);
  EXPECT_TRUE(std::filesystem::exists(usage.image_filesystems(0).fs_id().mountpoint()));
  EXPECT_GT(usage.image_filesystems(0).timestamp(), 0);
  EXPECT_GT(usage.image_filesystems(0).used_bytes().value(), 1000000U);
}

TEST_F(LifeTest, ImagesAreFoundByEveryName) {
  v1::ListImagesResponse list;
  ASSERT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::ListImages, v1::ListImagesRequest(), &list)));
  ASSERT_EQ(list.images_size(), 1);
  const v1::Image& image = list.images(0);
  EXPECT_GT(image.size(), 0U);
  std::vector<std::string> names = {kBusyboxImage, image.id(), image.id().substr(7), image.id().substr(7, 13)};
  names.insert(names.end(), image.repo_digests().begin(), image.repo_digests().end());
  for (const std::string& name : names) {
    v1::ImageStatusRequest request;
    v1::ImageStatusResponse status;
    request.mutable_image()->set_image(name);
    ASSERT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::ImageStatus, request, &status)));
    EXPECT_EQ(status.image().SerializeAsString(), image.SerializeAsString()) << name;
  }
  v1::ImageStatusRequest request;
  v1::ImageStatusResponse status;
  request.mutable_image()->set_image("localhost/none:1");
  ASSERT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::ImageStatus, request, &status)));
  EXPECT_FALSE(status.has_image());
}

TEST_F(LifeTest, RemovingAnImageTakesAllItsNamesAndNeedsNoneToBeThere) {
  ASSERT_TRUE(daemon().Import(BusyboxArchive("localhost/second:1")));
  ASSERT_TRUE(daemon().Import(BusyboxArchive("localhost/third:1")));
  for (int time = 0; time < 2; ++time) {
    v1::RemoveImageRequest request;
    v1::RemoveImageResponse response;
    request.mutable_image()->set_image("localhost/third:1");
    EXPECT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::RemoveImage, request, &response)));
    v1::ListImagesResponse list;
    ASSERT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::ListImages, v1::ListImagesRequest(), &list)));
    EXPECT_EQ(list.images_size(), 0) << "all were one image by its id";
  }
  ASSERT_TRUE(daemon().Import(BusyboxArchive()));
}

TEST_F(LifeTest, StoppingAndRemovingCanBeRepeated) {
  const std::string unknown(64, 'f');
  EXPECT_TRUE(Ok(cri().StopPod(unknown)));
  EXPECT_TRUE(Ok(cri().RemovePod(unknown)));
  EXPECT_TRUE(Ok(cri().Stop(unknown, 1)));
  EXPECT_TRUE(Ok(cri().Remove(unknown)));
  v1::PodSandboxFilter no_pod;
  no_pod.set_id(unknown);
  EXPECT_TRUE(cri().Pods(no_pod).empty());
  v1::ContainerFilter no_container;
  no_container.set_id(unknown);
  EXPECT_TRUE(cri().Containers(no_container).empty());

  const std::string pod = cri().RunPod("again");
  const std::string created = cri().Create(pod, Cri::ContainerConfig("created", {"true"}));
  EXPECT_TRUE(Ok(cri().Stop(created, 5)));
  EXPECT_EQ(cri().Status(created).state(), v1::CONTAINER_CREATED);
  const std::string runs = cri().Run(pod, Cri::ContainerConfig("runs", {"sleep", "1000"}));
  EXPECT_TRUE(Ok(cri().Stop(runs, 0)));
  EXPECT_TRUE(Ok(cri().Stop(runs, 0)));
  EXPECT_EQ(cri().Status(runs).exit_code(), 137);
  for (const std::string& id : {created, runs, runs}) EXPECT_TRUE(Ok(cri().Remove(id)));
  for (int time = 0; time < 2; ++time) EXPECT_TRUE(Ok(cri().StopPod(pod)));
  EXPECT_EQ(cri().Pods().size(), 1U);
  for (int time = 0; time < 2; ++time) EXPECT_TRUE(Ok(cri().RemovePod(pod)));
  EXPECT_TRUE(cri().Pods().empty());
}

TEST_F(LifeTest, ARunningContainerAndARunningPodCanBeRemoved) {
  const std::string pod = cri().RunPod("force");
  const LeakAudit before = daemon().Audit();
  const std::string id = cri().Run(pod, Cri::ContainerConfig("runs", {"sleep", "1000"}));
  EXPECT_TRUE(Ok(cri().Remove(id)));
  EXPECT_TRUE(daemon().NothingLeakedSince(before));
  cri().Run(pod, Cri::ContainerConfig("also", {"sleep", "1000"}));
  EXPECT_TRUE(Ok(cri().RemovePod(pod)));
}

TEST_F(LifeTest, EqualCallsAtTheSameTimeMakeOnePod) {
  const v1::PodSandboxConfig config = cri().PodConfig("joined");
  std::vector<std::string> ids(4);
  std::vector<std::thread> callers;
  for (std::string& id : ids) callers.emplace_back([this, &config, &id] { (void)cri().TryRunPod(config, &id); });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(cri().Pods().size(), 1U);
  for (const std::string& id : ids) EXPECT_TRUE(id.empty() || id == cri().Pods().at(0).id()) << id;
}

TEST_F(LifeTest, OneOfSeveralStartsAtTheSameTimeStartsTheContainer) {
  const std::string pod = cri().RunPod("raced");
  const std::string id = cri().Create(pod, Cri::ContainerConfig("c", {"sh", "-c", "echo started; exec sleep 1000"}));
  std::vector<grpc::Status> outcomes(4);
  std::vector<std::thread> callers;
  for (grpc::Status& outcome : outcomes) callers.emplace_back([this, &outcome, &id] { outcome = cri().TryStart(id); });
  for (std::thread& caller : callers) caller.join();
  int started = 0;
  for (const grpc::Status& outcome : outcomes) {
    if (outcome.ok()) ++started;
    EXPECT_TRUE(outcome.ok() || outcome.error_code() == grpc::StatusCode::FAILED_PRECONDITION ||
                outcome.error_code() == grpc::StatusCode::UNAVAILABLE ||
                outcome.error_code() == grpc::StatusCode::ABORTED)
        << outcome.error_code() << " " << outcome.error_message();
  }
  EXPECT_EQ(started, 1);
  EXPECT_EQ(cri().Status(id).state(), v1::CONTAINER_RUNNING);
  const std::string log = cri().LogDirectory("raced") + "/" + Cri::ContainerConfig("c", {}).log_path();
  EXPECT_TRUE(WaitUntil([&] { return JoinedLog(log) == "started\n"; })) << JoinedLog(log);
}

}  // namespace
}  // namespace fermata::testing
