// linux.resources of a config.json <-> the values that cgroups/ applies. Pure; any thread.
// Source: runtime-spec config-linux.md "Control groups".
#pragma once

#include <string_view>
#include <vector>

#include "cgroups/device_program.h"
#include "cgroups/settings.h"
#include "runtime/base/json.h"
#include "runtime/base/result.h"

namespace fermata::runtime {

struct LinuxResources {
  cgroups::Resources limits;
  std::vector<cgroups::DeviceRule> device_rules;
};

// kInvalidArgument for what control groups v2 cannot do (real-time budgets, network classes, kernel memory) and for
// fields that are none; values that ask for nothing, as writers of older files put there, pass.
// Throws the JSON library's exceptions: call it inside ReadJson.
Result<LinuxResources> ReadResources(const Json& json);

// The resources object alone: what `update` of the OCI command line takes.
Result<LinuxResources> ResourcesFromJson(std::string_view text);

Json ResourcesToJsonValue(const cgroups::Resources& limits, const std::vector<cgroups::DeviceRule>& device_rules);

}  // namespace fermata::runtime
