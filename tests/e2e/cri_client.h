// The CRI as a kubelet uses it, with short names for tests: Try* gives the status, the others expect OK.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/e2e/daemon.h"

namespace fermata::testing {

// EXPECT_TRUE(Ok(status)) prints the code and the message.
::testing::AssertionResult Ok(const grpc::Status& status);
// The code, and a piece of the message.
::testing::AssertionResult Is(const grpc::Status& status, grpc::StatusCode code, const std::string& part);

// One call with a deadline: Call(*daemon.runtime, &Stub::Method, request, &response).
template <typename Service, typename Stub, typename Request, typename Response>
grpc::Status Call(Service& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request, Response* response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + Scaled(std::chrono::seconds(60)));
  return (stub.*method)(&context, request, response);
}

// A record of a CRI log file.
struct LogEntry {
  std::string time, stream, tag, content;
};
std::vector<LogEntry> ReadLog(const std::string& path);
// Content of one stream, records joined: a newline after F, none after P.
std::string JoinedLog(const std::string& path, const std::string& stream = "stdout");

struct ExecOutcome {
  grpc::Status status;
  std::string out, err;
  int code = -1;
};

class Cri {
 public:
  explicit Cri(Daemon& daemon) : daemon_(daemon) {}

  // With a log directory, name space "test" and a uid of its own.
  [[nodiscard]] v1::PodSandboxConfig PodConfig(const std::string& name) const;
  // Of the busybox image, with a log file.
  [[nodiscard]] static v1::ContainerConfig ContainerConfig(const std::string& name,
                                                           const std::vector<std::string>& command);
  [[nodiscard]] std::string LogDirectory(const std::string& pod_name) const { return daemon_ / ("logs/" + pod_name); }

  grpc::Status TryRunPod(const v1::PodSandboxConfig& config, std::string* id = nullptr,
                         const std::string& handler = "");
  std::string RunPod(const v1::PodSandboxConfig& config);
  std::string RunPod(const std::string& name) { return RunPod(PodConfig(name)); }
  grpc::Status StopPod(const std::string& id);
  grpc::Status RemovePod(const std::string& id);
  grpc::Status TryPodStatus(const std::string& id, v1::PodSandboxStatusResponse* response, bool verbose = false);
  v1::PodSandboxStatus PodStatus(const std::string& id);
  std::vector<v1::PodSandbox> Pods(const v1::PodSandboxFilter& filter = {});

  grpc::Status TryCreate(const std::string& pod, const v1::ContainerConfig& config, std::string* id = nullptr);
  std::string Create(const std::string& pod, const v1::ContainerConfig& config);
  grpc::Status TryStart(const std::string& id);
  std::string Run(const std::string& pod, const v1::ContainerConfig& config);  // create and start
  grpc::Status Stop(const std::string& id, int64_t timeout_seconds);
  grpc::Status Remove(const std::string& id);
  grpc::Status TryStatus(const std::string& id, v1::ContainerStatusResponse* response, bool verbose = false);
  v1::ContainerStatus Status(const std::string& id);
  int Pid(const std::string& id);  // of the first process, from the verbose status
  std::vector<v1::Container> Containers(const v1::ContainerFilter& filter = {});
  grpc::Status ReopenLog(const std::string& id);
  ExecOutcome Exec(const std::string& id, const std::vector<std::string>& command, int64_t timeout_seconds = 0);
  // Output of a shell command in the container that has to succeed, without its last newline.
  std::string Shell(const std::string& id, const std::string& script);

  v1::ContainerStatus WaitExited(const std::string& id);
  // Runs to the end and removes; gives the last status and what it printed.
  struct Outcome {
    v1::ContainerStatus status;
    std::string out, err;
  };
  Outcome RunToEnd(const std::string& pod, const v1::ContainerConfig& config);
  // One pod with one container: makes what stays with a daemon, so that a leak audit can begin after it.
  void WarmUp();

 private:
  Daemon& daemon_;
};

// Tests that share a daemon: started for the first test of the suite, ended and checked after the last one.
class DaemonTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;
  void TearDown() override;

  static Daemon& daemon();
  Cri cri() { return Cri(daemon()); }
};

}  // namespace fermata::testing
