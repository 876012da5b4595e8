// Whether a host path may become a volume of a container (threat table M-09 and M-10), as far as its text says so: the
// path may hang, and what it leads to may change. The container's process looks at what it really opens
// (runtime/launch/child_mounts.cc: no magic links, no part of a procfs).
#pragma once

#include "runtime/base/result.h"
#include "runtime/helper/path_helper.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

// kInvalidArgument for a source below /proc unless the container is privileged, of another process's view in any case,
// and for a propagation that the container or the mount of the source does not allow.
Result<> CheckMountSource(const runtime::PathHelper& paths, const ContainerMount& mount, bool privileged);

}  // namespace fermata::sandbox
