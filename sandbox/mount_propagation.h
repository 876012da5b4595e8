// Whether a volume's source can propagate mounts: the kernel silently gives a private mount where it cannot.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/helper/path_helper.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

// kInvalidArgument unless the mount that holds `host_path` is shared (for BIDIRECTIONAL) or at least a slave (for
// HOST_TO_CONTAINER). A path that is not there yet passes: it will be made on a mount that is looked at again then.
Result<> CheckPropagation(const runtime::PathHelper& paths, const std::string& host_path, Propagation propagation);

// "shared", "slave" or "private": the mount `mount_id` in the text of a mountinfo file. Pure.
std::string PropagationOf(std::string_view mountinfo, uint64_t mount_id);

}  // namespace fermata::sandbox
