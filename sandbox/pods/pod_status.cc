#include "sandbox/pods/pod_status.h"

#include <algorithm>

namespace fermata::sandbox::pods {
namespace {

bool HasExited(const ContainerView& view) {
  return view.newest != nullptr && view.newest->state == ContainerState::kExited;
}
bool NeverRan(const ContainerView& view) {
  return view.newest == nullptr || (view.newest->state == ContainerState::kCreated && view.restarts == 0);
}
bool IsRunning(const ContainerView& view) {
  return view.newest != nullptr && view.newest->state == ContainerState::kRunning;
}
bool Restartable(const ContainerView& view) { return HasExited(view) && ShouldRestart(view.policy, *view.newest); }
bool HasSucceeded(const ContainerView& view) { return HasExited(view) && view.newest->exit_code == 0; }
// An init container that has failed for good.
bool InitFailed(const ContainerView& view) {
  return view.kind == ContainerKind::kInit && HasExited(view) && !HasSucceeded(view) && !Restartable(view);
}
bool IsSticky(const PodView& view) {
  return std::ranges::any_of(view.containers, [](const ContainerView& c) { return c.newest != nullptr; });
}
bool InitDone(const ContainerView& view) {
  return view.kind == ContainerKind::kSidecar ? view.started : HasSucceeded(view);
}

}  // namespace

std::vector<ContainerView> PodView::All() const {
  std::vector<ContainerView> all = init_containers;
  all.insert(all.end(), containers.begin(), containers.end());
  return all;
}

ContainerKind InitKind(const PodContainer& init_container) {
  return init_container.restart_policy == RestartPolicy::kAlways ? ContainerKind::kSidecar : ContainerKind::kInit;
}

RestartPolicy PolicyOf(const PodContainer& container, ContainerKind kind, RestartPolicy pod) {
  if (kind == ContainerKind::kSidecar) return RestartPolicy::kAlways;
  const RestartPolicy policy = container.restart_policy.value_or(pod);
  return kind == ContainerKind::kInit && policy == RestartPolicy::kAlways ? RestartPolicy::kOnFailure : policy;
}

bool ShouldRestart(RestartPolicy policy, const ContainerRecord& exited) {
  if (policy == RestartPolicy::kNever) return false;
  return policy == RestartPolicy::kAlways || exited.exit_code != 0 || exited.marks.killed_at_ns != 0;
}

std::string PhaseOf(const PodView& view, bool sandbox_ready) {
  if (!sandbox_ready && view.sandbox != nullptr && view.sandbox->reason == "DeadlineExceeded") return "Failed";
  const bool sticky = IsSticky(view);
  if (std::ranges::any_of(view.init_containers, InitFailed)) return "Failed";
  if (sandbox_ready) {
    const bool init_pending =
        !sticky && std::ranges::any_of(view.init_containers, [](const ContainerView& c) { return !InitDone(c); });
    if (init_pending || std::ranges::any_of(view.containers, NeverRan)) return "Pending";
  }
  const bool sidecar_runs = std::ranges::any_of(view.init_containers, IsRunning);
  // One whose end is not known yet counts as running; one between two starts has stopped.
  const auto runs = [](const ContainerView& c) { return !NeverRan(c) && !HasExited(c); };
  if (sidecar_runs || std::ranges::any_of(view.containers, runs)) return "Running";
  if (sandbox_ready && std::ranges::any_of(view.containers, Restartable)) return "Running";
  return std::ranges::all_of(view.containers, HasSucceeded) ? "Succeeded" : "Failed";
}

std::vector<PodCondition> ConditionsOf(const PodView& view, bool sandbox_ready) {
  const auto ready = [](const ContainerView& c) { return c.kind == ContainerKind::kInit || c.ready; };
  const bool initialized = IsSticky(view) || std::ranges::all_of(view.init_containers, InitDone);
  const bool all_ready =
      std::ranges::all_of(view.containers, ready) && std::ranges::all_of(view.init_containers, ready);
  const bool completed = view.phase == "Succeeded";
  const bool holds = all_ready && !completed;
  const std::string reason = holds ? "" : completed ? "PodCompleted" : "ContainersNotReady";
  return {{"PodScheduled", true, ""},
          {"PodReadyToStartContainers", sandbox_ready, ""},
          {"Initialized", initialized, initialized ? "" : "ContainersNotInitialized"},
          {"ContainersReady", holds, reason},
          {"Ready", holds, reason}};
}

bool IsOver(const PodView& view) {
  if (std::ranges::any_of(view.init_containers, InitFailed)) return true;
  return std::ranges::all_of(view.containers, [](const ContainerView& c) { return HasExited(c) && !Restartable(c); });
}

}  // namespace fermata::sandbox::pods
