// emptyDir volumes of medium Memory: a tmpfs each. Does not own the mounts, which are the host's: they outlive the
// daemon and end with the pod's directory, or with the machine. Stateless; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/result.h"

namespace fermata::sandbox::pods {

// On a directory that exists. Without a limit the kernel's: half of the memory.
Result<> MountMemoryVolume(const std::string& directory, std::optional<int64_t> limit_bytes);
// All of a pod, whose volumes lie in `directory`; succeeds if there is none.
Result<> UnmountMemoryVolumes(const std::string& directory);

}  // namespace fermata::sandbox::pods
