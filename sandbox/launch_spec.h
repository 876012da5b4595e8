// What a container is run with: its request, its image and its sandbox become an OCI spec and the device rules.
// Pure but for the look at the image's users and at the host's devices, which the caller hands in.
#pragma once

#include <string>
#include <vector>

#include "cgroups/device_program.h"
#include "overlay/image/config.h"
#include "overlay/user_lookup.h"
#include "runtime/base/result.h"
#include "runtime/spec/spec.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

struct LaunchSpecInput {
  const SandboxRecord& sandbox;
  const ContainerSpec& container;
  const overlay::ImageConfig& image;
  overlay::ResolvedUser user;
  std::string pod_files_dir;             // absolute: hosts, hostname, resolv.conf
  std::vector<runtime::Device> devices;  // asked for, or all of the host when privileged
};

// kInvalidArgument for what cannot be run, as no command. Without the seccomp profile (seccomp_choice.h), which
// is chosen anew at each start: it is long, and the same for nearly all containers.
Result<runtime::Spec> BuildLaunchSpec(const LaunchSpecInput& input);

// The "user[:group]" text to look up in the image: the request's, else the image's own.
Result<std::string> UserText(const SecurityContext& security, const overlay::ImageConfig& image);

// The nodes behind the request's devices (a directory: all below it); all of the host's for privileged.
Result<std::vector<runtime::Device>> CollectDevices(const ContainerSpec& container);
Result<std::vector<cgroups::DeviceRule>> DeviceRules(const ContainerSpec& container);

}  // namespace fermata::sandbox
