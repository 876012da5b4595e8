// What a pod looks like from outside: its containers, phase and conditions, by kubelet's rules. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/pods/manifest.h"
#include "sandbox/types.h"

namespace fermata::sandbox::pods {

enum class ContainerKind : uint8_t { kMain, kInit, kSidecar };

struct ContainerView {
  std::string name;
  ContainerPtr newest;    // nullptr: not made yet
  ContainerPtr previous;  // of the attempt before; nullptr: there was none, or it has been removed
  bool waits_for_restart = false;
  uint32_t restarts = 0;
  ContainerKind kind = ContainerKind::kMain;
  RestartPolicy policy = RestartPolicy::kNever;  // its own, see PolicyOf
  bool started = false, ready = false;
};

struct PodCondition {
  std::string type;
  bool holds = false;
  std::string reason;  // why it does not hold, if that can be said
};

struct PodView {
  SandboxPtr sandbox;
  std::string phase;  // Pending, Running, Succeeded, Failed
  std::vector<ContainerView> containers;
  std::vector<ContainerView> init_containers;  // sidecars too, in the order of the manifest
  std::vector<PodCondition> conditions;

  [[nodiscard]] std::vector<ContainerView> All() const;  // init containers first
};

ContainerKind InitKind(const PodContainer& init_container);
// What decides over restarts of one container: its own policy, else the pod's. An init container that has succeeded
// is done, whatever is said; a sidecar is always restarted.
RestartPolicy PolicyOf(const PodContainer& container, ContainerKind kind, RestartPolicy pod);
// True when a container that has exited is to be started again. One that a probe has killed is, whatever its exit code.
bool ShouldRestart(RestartPolicy policy, const ContainerRecord& exited);

// Of the containers of `view`; kubelet's getPhase.
std::string PhaseOf(const PodView& view, bool sandbox_ready);
std::vector<PodCondition> ConditionsOf(const PodView& view, bool sandbox_ready);
// Whether what is left to do is to stop the pod: its containers, or an init container, have ended for good.
bool IsOver(const PodView& view);

}  // namespace fermata::sandbox::pods
