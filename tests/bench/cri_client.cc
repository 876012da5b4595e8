#include "tests/bench/cri_client.h"

#include <grpcpp/grpcpp.h>

#include <stdexcept>
#include <utility>

namespace fermata::bench {
namespace v1 = ::runtime::v1;
namespace {

constexpr std::chrono::seconds kDeadline{300};
constexpr const char* kLabel = "bench";

void SetNamespaces(const PodOptions& options, v1::NamespaceOption& namespaces) {
  namespaces.set_network(options.host_network ? v1::NODE : v1::POD);
  namespaces.set_pid(v1::CONTAINER);
  namespaces.set_ipc(v1::POD);
}

void SetSeccomp(const PodOptions& options, v1::SecurityProfile& profile) {
  profile.set_profile_type(options.default_seccomp ? v1::SecurityProfile::RuntimeDefault
                                                   : v1::SecurityProfile::Unconfined);
}

v1::PodSandboxConfig SandboxConfig(const PodOptions& options, int number) {
  v1::PodSandboxConfig config;
  const std::string name = options.prefix + "-" + std::to_string(number);
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_uid(name);
  config.mutable_metadata()->set_namespace_("bench");
  (*config.mutable_labels())[kLabel] = options.prefix;
  config.set_hostname(options.host_network ? "" : name);
  config.set_log_directory(options.log_directory);
  config.mutable_linux()->set_cgroup_parent(options.cgroup_parent);
  auto* security = config.mutable_linux()->mutable_security_context();
  SetNamespaces(options, *security->mutable_namespace_options());
  SetSeccomp(options, *security->mutable_seccomp());
  return config;
}

v1::ContainerConfig ContainerConfig(const PodOptions& options, int number) {
  v1::ContainerConfig config;
  config.mutable_metadata()->set_name("main");
  config.mutable_image()->set_image(options.image);
  config.add_command("/bin/sleep");
  config.add_args("1000000");
  (*config.mutable_labels())[kLabel] = options.prefix;
  if (!options.log_directory.empty()) config.set_log_path("main-" + std::to_string(number) + ".log");
  auto* security = config.mutable_linux()->mutable_security_context();
  SetNamespaces(options, *security->mutable_namespace_options());
  SetSeccomp(options, *security->mutable_seccomp());
  for (const char* path : {"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                           "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"}) {
    security->add_masked_paths(path);
  }
  for (const char* path : {"/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}) {
    security->add_readonly_paths(path);
  }
  return config;
}

}  // namespace

CriClient::CriClient(const std::string& endpoint, PodOptions options) : options_(std::move(options)) {
  const std::string address = endpoint.find(':') == std::string::npos ? "unix:" + endpoint : endpoint;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of our own
  arguments.SetMaxReceiveMessageSize(64 << 20);
  const auto channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  runtime_ = v1::RuntimeService::NewStub(channel);
  images_ = v1::ImageService::NewStub(channel);
}

template <typename Request, typename Response, typename Method>
Response CriClient::Call(const char* name, Method method, const Request& request, Timings& timings) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  Response response;
  const auto begin = Clock::now();
  const grpc::Status status = (runtime_.get()->*method)(&context, request, &response);
  timings.Add(name, Clock::now() - begin);
  if (!status.ok()) throw std::runtime_error(std::string(name) + ": " + status.error_message());
  return response;
}

std::string CriClient::RuntimeName() {
  Timings ignored;
  const auto answer =
      Call<v1::VersionRequest, v1::VersionResponse>("Version", &v1::RuntimeService::Stub::Version, {}, ignored);
  return answer.runtime_name() + " " + answer.runtime_version();
}

void CriClient::CheckImage() {
  grpc::ClientContext context;
  v1::ImageStatusRequest request;
  v1::ImageStatusResponse response;
  request.mutable_image()->set_image(options_.image);
  const grpc::Status status = images_->ImageStatus(&context, request, &response);
  if (!status.ok()) throw std::runtime_error("ImageStatus: " + status.error_message());
  if (!response.has_image()) throw std::runtime_error("there is no image " + options_.image);
}

Pod CriClient::StartPod(int number, Timings& timings) {
  Pod pod;
  pod.number = number;
  pod.config = SandboxConfig(options_, number);
  const auto begin = Clock::now();

  v1::RunPodSandboxRequest run;
  *run.mutable_config() = pod.config;
  run.set_runtime_handler(options_.handler);
  pod.sandbox_id = Call<v1::RunPodSandboxRequest, v1::RunPodSandboxResponse>(
                       "RunPodSandbox", &v1::RuntimeService::Stub::RunPodSandbox, run, timings)
                       .pod_sandbox_id();
  v1::CreateContainerRequest create;
  create.set_pod_sandbox_id(pod.sandbox_id);
  *create.mutable_config() = ContainerConfig(options_, number);
  *create.mutable_sandbox_config() = pod.config;
  pod.container_id = Call<v1::CreateContainerRequest, v1::CreateContainerResponse>(
                         "CreateContainer", &v1::RuntimeService::Stub::CreateContainer, create, timings)
                         .container_id();
  v1::StartContainerRequest start;
  start.set_container_id(pod.container_id);
  (void)Call<v1::StartContainerRequest, v1::StartContainerResponse>(
      "StartContainer", &v1::RuntimeService::Stub::StartContainer, start, timings);
  timings.Add("pod", Clock::now() - begin);
  return pod;
}

void CriClient::Exec(const Pod& pod, Timings& timings) {
  v1::ExecSyncRequest request;
  request.set_container_id(pod.container_id);
  request.add_cmd("/bin/true");
  request.set_timeout(60);
  const auto answer = Call<v1::ExecSyncRequest, v1::ExecSyncResponse>("ExecSync", &v1::RuntimeService::Stub::ExecSync,
                                                                      request, timings);
  if (answer.exit_code() != 0)
    throw std::runtime_error("ExecSync: true ended with " + std::to_string(answer.exit_code()));
}

void CriClient::Look(const Pod& pod, Timings& timings) {
  v1::ContainerStatusRequest status;
  status.set_container_id(pod.container_id);
  const auto answer = Call<v1::ContainerStatusRequest, v1::ContainerStatusResponse>(
      "ContainerStatus", &v1::RuntimeService::Stub::ContainerStatus, status, timings);
  if (answer.status().state() != v1::CONTAINER_RUNNING) throw std::runtime_error("a container does not run");
  (void)Call<v1::ListContainersRequest, v1::ListContainersResponse>(
      "ListContainers", &v1::RuntimeService::Stub::ListContainers, {}, timings);
  (void)Call<v1::ListPodSandboxRequest, v1::ListPodSandboxResponse>(
      "ListPodSandbox", &v1::RuntimeService::Stub::ListPodSandbox, {}, timings);
}

template <typename Request, typename Response, typename Method>
void CriClient::CallIfOffered(const char* name, Method method, Timings& timings) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  Response response;
  const auto begin = Clock::now();
  const grpc::Status status = (runtime_.get()->*method)(&context, Request(), &response);
  const auto took = Clock::now() - begin;
  // containerd 1.6 needs a parent group for one of them, and has not heard of another.
  if (status.ok()) timings.Add(name, took);
}

void CriClient::List(Timings& timings) {
  using Stub = v1::RuntimeService::Stub;
  CallIfOffered<v1::ListContainerStatsRequest, v1::ListContainerStatsResponse>("ListContainerStats",
                                                                               &Stub::ListContainerStats, timings);
  CallIfOffered<v1::ListPodSandboxStatsRequest, v1::ListPodSandboxStatsResponse>("ListPodSandboxStats",
                                                                                 &Stub::ListPodSandboxStats, timings);
  CallIfOffered<v1::ListPodSandboxMetricsRequest, v1::ListPodSandboxMetricsResponse>(
      "ListPodSandboxMetrics", &Stub::ListPodSandboxMetrics, timings);
}

void CriClient::RemovePod(const Pod& pod, Timings& timings) {
  if (!pod.container_id.empty()) {
    v1::StopContainerRequest stop;
    stop.set_container_id(pod.container_id);
    stop.set_timeout(0);  // `sleep` as PID 1 does not hear SIGTERM; waiting for it says nothing about the runtime
    (void)Call<v1::StopContainerRequest, v1::StopContainerResponse>(
        "StopContainer", &v1::RuntimeService::Stub::StopContainer, stop, timings);
  }
  v1::StopPodSandboxRequest stop_pod;
  stop_pod.set_pod_sandbox_id(pod.sandbox_id);
  (void)Call<v1::StopPodSandboxRequest, v1::StopPodSandboxResponse>(
      "StopPodSandbox", &v1::RuntimeService::Stub::StopPodSandbox, stop_pod, timings);
  if (!pod.container_id.empty()) {
    v1::RemoveContainerRequest remove;
    remove.set_container_id(pod.container_id);
    (void)Call<v1::RemoveContainerRequest, v1::RemoveContainerResponse>(
        "RemoveContainer", &v1::RuntimeService::Stub::RemoveContainer, remove, timings);
  }
  v1::RemovePodSandboxRequest remove_pod;
  remove_pod.set_pod_sandbox_id(pod.sandbox_id);
  (void)Call<v1::RemovePodSandboxRequest, v1::RemovePodSandboxResponse>(
      "RemovePodSandbox", &v1::RuntimeService::Stub::RemovePodSandbox, remove_pod, timings);
}

void CriClient::RemoveAll() noexcept try {
  Timings ignored;
  v1::ListPodSandboxRequest list;
  (*list.mutable_filter()->mutable_label_selector())[kLabel] = options_.prefix;
  const auto pods = Call<v1::ListPodSandboxRequest, v1::ListPodSandboxResponse>(
      "ListPodSandbox", &v1::RuntimeService::Stub::ListPodSandbox, list, ignored);
  for (const v1::PodSandbox& sandbox : pods.items()) {
    try {
      RemovePod({0, sandbox.id(), "", {}}, ignored);
    } catch (const std::exception&) {  // the next one may be easier
    }
  }
} catch (const std::exception&) {  // nobody answers any more
}

}  // namespace fermata::bench
