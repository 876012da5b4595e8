// What a probe or a hook of a container's life does, and when: the values of a manifest with Kubernetes' defaults.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace fermata::sandbox::probe {

struct ExecAction {
  std::vector<std::string> command;
};
struct HttpAction {
  std::string host;  // empty: the pod
  int port = 0;
  std::string path = "/";  // with the query
  bool https = false;
  std::vector<std::pair<std::string, std::string>> headers;
};
struct TcpAction {
  std::string host;  // empty: the pod
  int port = 0;
};
struct GrpcAction {
  int port = 0;
  std::string service;  // empty: the whole server
};
struct SleepAction {
  std::chrono::seconds time{0};
};

enum class ProbeType : uint8_t { kStartup, kLiveness, kReadiness };

struct ProbeSpec {
  std::variant<ExecAction, HttpAction, TcpAction, GrpcAction> action;
  std::chrono::seconds initial_delay{0}, period{10}, timeout{1};
  int success_threshold = 1, failure_threshold = 3;
  std::optional<std::chrono::seconds> termination_grace;  // of a kill by this probe; unset: the pod's
};

using HookAction = std::variant<ExecAction, HttpAction, TcpAction, SleepAction>;

// The probes and hooks of one container, and what it is told to stop with.
struct ContainerProbes {
  std::optional<ProbeSpec> startup, liveness, readiness;
  std::optional<HookAction> post_start, pre_stop;
  int stop_signal = 0;  // 0: the image's, else SIGTERM

  [[nodiscard]] const std::optional<ProbeSpec>& Of(ProbeType type) const {
    if (type == ProbeType::kStartup) return startup;
    return type == ProbeType::kLiveness ? liveness : readiness;
  }
};

}  // namespace fermata::sandbox::probe
