// Other limits for what runs already, all of them or none (CRI UpdateContainerResources, UpdatePodSandboxResources).
// Any thread.
#pragma once

#include <optional>

#include "cgroups/settings.h"
#include "runtime/base/result.h"
#include "sandbox/engine.h"

namespace fermata::sandbox {

struct ResourceChange {
  cgroups::Resources limits;  // what is not asked for stays as it is
  std::optional<int> oom_score_adj;
};

// Of a container that runs, or was made and has not started yet. kNotFound; kFailedPrecondition: it has ended, or
// something else is under way with it, or a controller is missing; kInvalidArgument: limits that contradict those that
// stay. Then the kernel's values and the record are as before.
Result<> UpdateContainer(Engine& engine, const ContainerId& id, const ResourceChange& change);

// What a pod as a whole has, and what it costs beside its containers. Written only where the pod's group is ours: with
// a cgroup_parent, whoever named that sets its limits. kNotFound; kFailedPrecondition: the sandbox is not ready.
Result<> UpdateSandbox(Engine& engine, const SandboxId& id, const cgroups::Resources& overhead,
                       const cgroups::Resources& resources);

}  // namespace fermata::sandbox
