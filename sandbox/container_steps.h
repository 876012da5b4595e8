// The host-side steps of a container, as tables with undo. Remove is the undo of both.
#pragma once

#include <span>
#include <string>

#include "cgroups/cgroup.h"
#include "runtime/base/unique_fd.h"
#include "sandbox/engine.h"
#include "sandbox/steps.h"

namespace fermata::sandbox {

struct ContainerBuild {
  Engine& engine;
  ContainerRecord record;
  const overlay::Image* image = nullptr;      // create only
  std::vector<overlay::ImagePtr> volumes;     // create only: of the mounts that are images, in their order
  std::optional<runtime::UserMappings> user;  // create only: of the sandbox
  // Start only:
  const runtime::LaunchPlan* plan = nullptr;
  std::shared_ptr<runtime::MonitorClient> monitor;
  cgroups::Cgroup cgroup;
  UniqueFd log;
  runtime::StartedProcess started;
};

std::span<const Step<ContainerBuild>> ContainerCreateSteps();
std::span<const Step<ContainerBuild>> ContainerStartSteps();

}  // namespace fermata::sandbox
