// Whether a host path may become a volume of a container (threat table M-09 and M-10).
#pragma once

#include "runtime/base/result.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

// kInvalidArgument for a source behind a magic link (/proc/PID/root, /dev/fd/N), on procfs unless the container is
// privileged, or with a propagation that the container or the mount of the source does not allow. A source that is not
// there yet passes, wherever it could be made.
Result<> CheckMountSource(const ContainerMount& mount, bool privileged);

}  // namespace fermata::sandbox
