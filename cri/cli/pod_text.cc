#include "cri/cli/pod_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cri/cli/output.h"

namespace fermata::cri::cli {
namespace {

namespace fv1 = ::fermata::v1;

bool HasEnded(const fv1::ContainerStatus& container) { return container.state() == "Exited"; }

std::string EndText(const fv1::ContainerStatus& container) {
  return container.reason().empty() ? fmt::format("ExitCode:{}", container.exit_code()) : container.reason();
}

bool IsInitialized(const fv1::PodStatus& pod) {
  return std::ranges::any_of(pod.conditions(), [](const fv1::PodCondition& condition) {
    return condition.type() == "Initialized" && condition.status();
  });
}

// Why the pod is not initialized yet; empty when nothing of that is to be told.
std::string InitText(const fv1::PodStatus& pod) {
  int done = 0;
  for (const fv1::ContainerStatus& container : pod.init_containers()) {
    const bool succeeded = HasEnded(container) && container.exit_code() == 0;
    if (succeeded || (container.sidecar() && container.started())) {
      ++done;
      continue;
    }
    if (HasEnded(container)) return "Init:" + EndText(container);
    if (container.state() == "CrashLoopBackOff") return "Init:CrashLoopBackOff";
    return fmt::format("Init:{}/{}", done, pod.init_containers_size());
  }
  return "";
}

// The containers that READY and RESTARTS are about.
std::vector<fv1::ContainerStatus> Counted(const fv1::PodStatus& pod) {
  std::vector<fv1::ContainerStatus> counted(pod.containers().begin(), pod.containers().end());
  for (const fv1::ContainerStatus& container : pod.init_containers()) {
    if (container.sidecar()) counted.push_back(container);
  }
  return counted;
}

}  // namespace

std::string ReadyText(const fv1::PodStatus& pod) {
  const std::vector<fv1::ContainerStatus> counted = Counted(pod);
  const auto ready =
      std::ranges::count_if(counted, [](const fv1::ContainerStatus& container) { return container.ready(); });
  return fmt::format("{}/{}", ready, counted.size());
}

std::string StatusText(const fv1::PodStatus& pod) {
  std::string text = pod.reason().empty() ? pod.phase() : pod.reason();
  if (!IsInitialized(pod)) {
    const std::string init = InitText(pod);
    if (!init.empty()) return init;
  }
  bool runs = false;
  for (auto container = pod.containers().rbegin(); container != pod.containers().rend(); ++container) {
    if (container->state() == "CrashLoopBackOff") {
      text = container->state();
    } else if (container->state() == "Waiting" && pod.sandbox_ready()) {
      text = "ContainerCreating";
    } else if (HasEnded(*container) && pod.reason().empty()) {
      text = EndText(*container);
    } else if (container->state() == "Running" && container->ready()) {
      runs = true;
    }
  }
  if (text != "Completed" || !runs) return text;
  const bool ready = std::ranges::any_of(pod.conditions(), [](const fv1::PodCondition& condition) {
    return condition.type() == "Ready" && condition.status();
  });
  return ready ? "Running" : "NotReady";
}

std::string RestartsText(const fv1::PodStatus& pod, int64_t now_ns) {
  int64_t restarts = 0;
  int64_t last_ns = 0;
  std::vector<fv1::ContainerStatus> counted(pod.init_containers().begin(), pod.init_containers().end());
  if (IsInitialized(pod)) {
    counted = Counted(pod);
  } else {
    counted.insert(counted.end(), pod.containers().begin(), pod.containers().end());
  }
  for (const fv1::ContainerStatus& container : counted) {
    restarts += container.restart_count();
    last_ns = std::max<int64_t>(last_ns, container.last().finished_at_unix_nanos());
  }
  if (restarts == 0 || last_ns == 0) return std::to_string(restarts);
  return fmt::format("{} ({} ago)", restarts, ShortAge(last_ns, now_ns));
}

}  // namespace fermata::cri::cli
