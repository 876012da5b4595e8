// The calls of the benchmark: kubelet's requests in the form that both sides understand, each timed under its name.
// Thread-safe; timings belong to the caller.
#pragma once

#include <memory>
#include <string>

#include "cri/api/runtime_v1.grpc.pb.h"
#include "tests/bench/timings.h"

namespace fermata::bench {

struct PodOptions {
  std::string image;
  std::string handler;
  std::string cgroup_parent;
  std::string log_directory;  // empty: no log files
  bool host_network = false;
  bool default_seccomp = true;
  std::string prefix;  // of the names
};

struct Pod {
  int number = 0;
  std::string sandbox_id, container_id;
  ::runtime::v1::PodSandboxConfig config;
};

// Failures are thrown as std::runtime_error with the call's name: a benchmark has no use for half a result.
class CriClient {
 public:
  CriClient(const std::string& endpoint, PodOptions options);

  std::string RuntimeName();
  void CheckImage();  // throws if the image is not there
  // Sandbox, container, start; the sum of the three is timed as "pod".
  Pod StartPod(int number, Timings& timings);
  void Exec(const Pod& pod, Timings& timings);
  void Look(const Pod& pod, Timings& timings);  // ContainerStatus, ListContainers, ListPodSandbox
  // The lists of everything; what a runtime does not offer, or not for these pods, is left out.
  void List(Timings& timings);
  void RemovePod(const Pod& pod, Timings& timings);
  // Whatever bears the prefix, for after a failure; never throws.
  void RemoveAll() noexcept;

 private:
  template <typename Request, typename Response, typename Method>
  void CallIfOffered(const char* name, Method method, Timings& timings);
  template <typename Request, typename Response, typename Method>
  Response Call(const char* name, Method method, const Request& request, Timings& timings);

  PodOptions options_;
  std::unique_ptr<::runtime::v1::RuntimeService::Stub> runtime_;
  std::unique_ptr<::runtime::v1::ImageService::Stub> images_;
};

}  // namespace fermata::bench
