#include "tests/e2e/cri_client.h"

#include <sstream>

#include "runtime/base/json.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {
namespace {

using Stub = v1::RuntimeService::Stub;

// Of the suite that runs.
struct Shared {
  TemporaryDirectory directory;
  Daemon daemon{directory / "d"};
};
std::unique_ptr<Shared> shared;

}  // namespace

::testing::AssertionResult Ok(const grpc::Status& status) {
  if (status.ok()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "code " << status.error_code() << ": " << status.error_message();
}

::testing::AssertionResult Is(const grpc::Status& status, grpc::StatusCode code, const std::string& part) {
  if (status.error_code() == code && status.error_message().find(part) != std::string::npos) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "code " << status.error_code() << " (wanted " << code << "), message \""
                                       << status.error_message() << "\" (wanted \"" << part << "\" in it)";
}

std::vector<LogEntry> ReadLog(const std::string& path) {
  std::vector<LogEntry> entries;
  std::istringstream text(ReadText(path));
  for (std::string line; std::getline(text, line);) {
    LogEntry entry;
    std::string* const fields[] = {&entry.time, &entry.stream, &entry.tag};
    size_t at = 0;
    for (std::string* field : fields) {
      const size_t space = line.find(' ', at);
      if (space == std::string::npos) {
        ADD_FAILURE() << path << ": not a record: " << line;
        break;
      }
      *field = line.substr(at, space - at);
      at = space + 1;
    }
    entry.content = line.substr(std::min(at, line.size()));
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::string JoinedLog(const std::string& path, const std::string& stream) {
  std::string text;
  for (const LogEntry& entry : ReadLog(path)) {
    if (entry.stream != stream) continue;
    text += entry.content;
    if (entry.tag == "F") text += '\n';
  }
  return text;
}

v1::PodSandboxConfig Cri::PodConfig(const std::string& name) const {
  v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_uid(name + "-uid");
  config.mutable_metadata()->set_namespace_("test");
  config.set_hostname(name);
  config.set_log_directory(LogDirectory(name));
  return config;
}

v1::ContainerConfig Cri::ContainerConfig(const std::string& name, const std::vector<std::string>& command) {
  v1::ContainerConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image(kBusyboxImage);
  for (const std::string& word : command) config.add_command(word);
  config.set_log_path(name + ".log");
  return config;
}

grpc::Status Cri::TryRunPod(const v1::PodSandboxConfig& config, std::string* id, const std::string& handler) {
  v1::RunPodSandboxRequest request;
  v1::RunPodSandboxResponse response;
  *request.mutable_config() = config;
  request.set_runtime_handler(handler);
  grpc::Status status = Call(*daemon_.runtime, &Stub::RunPodSandbox, request, &response);
  if (id != nullptr) *id = response.pod_sandbox_id();
  return status;
}

std::string Cri::RunPod(const v1::PodSandboxConfig& config) {
  std::string id;
  EXPECT_TRUE(Ok(TryRunPod(config, &id))) << "run " << config.metadata().name();
  return id;
}

grpc::Status Cri::StopPod(const std::string& id) {
  v1::StopPodSandboxRequest request;
  v1::StopPodSandboxResponse response;
  request.set_pod_sandbox_id(id);
  return Call(*daemon_.runtime, &Stub::StopPodSandbox, request, &response);
}

grpc::Status Cri::RemovePod(const std::string& id) {
  v1::RemovePodSandboxRequest request;
  v1::RemovePodSandboxResponse response;
  request.set_pod_sandbox_id(id);
  return Call(*daemon_.runtime, &Stub::RemovePodSandbox, request, &response);
}

grpc::Status Cri::TryPodStatus(const std::string& id, v1::PodSandboxStatusResponse* response, bool verbose) {
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  request.set_verbose(verbose);
  return Call(*daemon_.runtime, &Stub::PodSandboxStatus, request, response);
}

v1::PodSandboxStatus Cri::PodStatus(const std::string& id) {
  v1::PodSandboxStatusResponse response;
  EXPECT_TRUE(Ok(TryPodStatus(id, &response))) << id;
  return response.status();
}

std::vector<v1::PodSandbox> Cri::Pods(const v1::PodSandboxFilter& filter) {
  v1::ListPodSandboxRequest request;
  v1::ListPodSandboxResponse response;
  *request.mutable_filter() = filter;
  EXPECT_TRUE(Ok(Call(*daemon_.runtime, &Stub::ListPodSandbox, request, &response)));
  return {response.items().begin(), response.items().end()};
}

grpc::Status Cri::TryCreate(const std::string& pod, const v1::ContainerConfig& config, std::string* id) {
  v1::CreateContainerRequest request;
  v1::CreateContainerResponse response;
  request.set_pod_sandbox_id(pod);
  *request.mutable_config() = config;
  grpc::Status status = Call(*daemon_.runtime, &Stub::CreateContainer, request, &response);
  if (id != nullptr) *id = response.container_id();
  return status;
}

std::string Cri::Create(const std::string& pod, const v1::ContainerConfig& config) {
  std::string id;
  EXPECT_TRUE(Ok(TryCreate(pod, config, &id))) << "create " << config.metadata().name();
  return id;
}

grpc::Status Cri::TryStart(const std::string& id) {
  v1::StartContainerRequest request;
  v1::StartContainerResponse response;
  request.set_container_id(id);
  return Call(*daemon_.runtime, &Stub::StartContainer, request, &response);
}

std::string Cri::Run(const std::string& pod, const v1::ContainerConfig& config) {
  std::string id = Create(pod, config);
  EXPECT_TRUE(Ok(TryStart(id))) << "start " << config.metadata().name();
  return id;
}

grpc::Status Cri::Stop(const std::string& id, int64_t timeout_seconds) {
  v1::StopContainerRequest request;
  v1::StopContainerResponse response;
  request.set_container_id(id);
  request.set_timeout(timeout_seconds);
  return Call(*daemon_.runtime, &Stub::StopContainer, request, &response);
}

grpc::Status Cri::Remove(const std::string& id) {
  v1::RemoveContainerRequest request;
  v1::RemoveContainerResponse response;
  request.set_container_id(id);
  return Call(*daemon_.runtime, &Stub::RemoveContainer, request, &response);
}

grpc::Status Cri::TryStatus(const std::string& id, v1::ContainerStatusResponse* response, bool verbose) {
  v1::ContainerStatusRequest request;
  request.set_container_id(id);
  request.set_verbose(verbose);
  return Call(*daemon_.runtime, &Stub::ContainerStatus, request, response);
}

v1::ContainerStatus Cri::Status(const std::string& id) {
  v1::ContainerStatusResponse response;
  EXPECT_TRUE(Ok(TryStatus(id, &response))) << id;
  return response.status();
}

int Cri::Pid(const std::string& id) {
  v1::ContainerStatusResponse response;
  EXPECT_TRUE(Ok(TryStatus(id, &response, true))) << id;
  const auto info = Json::parse(response.info().at("info"), nullptr, false);
  return info.is_object() ? info.value("pid", 0) : 0;
}

std::vector<v1::Container> Cri::Containers(const v1::ContainerFilter& filter) {
  v1::ListContainersRequest request;
  v1::ListContainersResponse response;
  *request.mutable_filter() = filter;
  EXPECT_TRUE(Ok(Call(*daemon_.runtime, &Stub::ListContainers, request, &response)));
  return {response.containers().begin(), response.containers().end()};
}

grpc::Status Cri::ReopenLog(const std::string& id) {
  v1::ReopenContainerLogRequest request;
  v1::ReopenContainerLogResponse response;
  request.set_container_id(id);
  return Call(*daemon_.runtime, &Stub::ReopenContainerLog, request, &response);
}

ExecOutcome Cri::Exec(const std::string& id, const std::vector<std::string>& command, int64_t timeout_seconds) {
  v1::ExecSyncRequest request;
  v1::ExecSyncResponse response;
  request.set_container_id(id);
  request.set_timeout(timeout_seconds);
  for (const std::string& word : command) request.add_cmd(word);
  ExecOutcome outcome;
  outcome.status = Call(*daemon_.runtime, &Stub::ExecSync, request, &response);
  outcome.out = response.stdout();
  outcome.err = response.stderr();
  outcome.code = response.exit_code();
  return outcome;
}

std::string Cri::Shell(const std::string& id, const std::string& script) {
  ExecOutcome outcome = Exec(id, {"sh", "-c", script});
  EXPECT_TRUE(Ok(outcome.status)) << script;
  EXPECT_EQ(outcome.code, 0) << script << ": " << outcome.err;
  if (outcome.out.ends_with('\n')) outcome.out.pop_back();
  return outcome.out;
}

v1::ContainerStatus Cri::WaitExited(const std::string& id) {
  v1::ContainerStatus status;
  const auto exited = [&] {
    v1::ContainerStatusResponse response;
    const grpc::Status answer = TryStatus(id, &response);
    if (!answer.ok()) {
      ADD_FAILURE() << answer.error_message();
      return true;
    }
    status = response.status();
    return status.state() == v1::CONTAINER_EXITED;
  };
  EXPECT_TRUE(WaitUntil(exited)) << id << " does not exit";
  return status;
}

Cri::Outcome Cri::RunToEnd(const std::string& pod, const v1::ContainerConfig& config) {
  Outcome outcome;
  const std::string id = Run(pod, config);
  if (id.empty()) return outcome;
  outcome.status = WaitExited(id);
  outcome.out = JoinedLog(outcome.status.log_path(), "stdout");
  outcome.err = JoinedLog(outcome.status.log_path(), "stderr");
  EXPECT_TRUE(Ok(Remove(id)));
  std::filesystem::remove(outcome.status.log_path());
  return outcome;
}

void Cri::WarmUp() {
  const std::string pod = RunPod("warm-up");
  EXPECT_EQ(RunToEnd(pod, ContainerConfig("warm-up", {"echo", "warm"})).out, "warm\n");
  EXPECT_TRUE(Ok(RemovePod(pod)));
}

void DaemonTest::SetUpTestSuite() {
  if (!CanRun()) return;
  shared = std::make_unique<Shared>();
  ASSERT_TRUE(shared->daemon.Start());
  ASSERT_TRUE(shared->daemon.Import(BusyboxArchive()));
  Cri(shared->daemon).WarmUp();
}

void DaemonTest::TearDownTestSuite() {
  if (shared == nullptr) return;
  shared->daemon.End();
  shared.reset();
}

void DaemonTest::SetUp() {
  if (!CanRun()) GTEST_SKIP() << "needs root and a cgroup2 mount";
}

// What a test left by failing must not trouble the next one.
void DaemonTest::TearDown() {
  if (shared == nullptr) return;
  for (const v1::PodSandbox& pod : cri().Pods()) EXPECT_TRUE(Ok(cri().RemovePod(pod.id())));
  std::filesystem::remove_all(daemon() / "logs");  // they are the client's
}

Daemon& DaemonTest::daemon() { return shared->daemon; }

}  // namespace fermata::testing
