// Where the control groups v2 are mounted (proc_pid_mountinfo(5)). No state; any thread.
//
// On a hybrid host the v2 mount lies beside v1 hierarchies (/sys/fs/cgroup/unified); only the v2 one is ever
// used, so limits whose controllers a v1 hierarchy holds do not exist there.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::cgroups {

// The mount point of the first cgroup2 mount of the whole hierarchy in the text of a mountinfo file. Mounts of
// a part of it (root not "/") serve only when there is no other: that is what a container sees.
// kNotFound when there is none.
Result<std::string> ParseCgroup2Mount(std::string_view mountinfo);

// The same of /proc/self/mountinfo.
Result<std::string> FindCgroup2Mount();

}  // namespace fermata::cgroups
