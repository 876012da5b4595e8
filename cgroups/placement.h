// Where a pod's control groups lie, with the cgroupfs driver: text of a request to a path below the cgroup2
// mount. Pure; any thread. The group itself is made by Cgroup::Create.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::cgroups {

// "/kubepods/burstable/pod1" to "kubepods/burstable/pod1". "" gives `fallback` ("/fermata/pods"), which is
// held to the same rules. kInvalidArgument for what could lead elsewhere or nowhere: "..", ".", empty
// components (so "/" too), control characters, names and paths too long for the kernel.
Result<std::string> NormalizeParent(std::string_view cgroup_parent, std::string_view fallback);

// "<parent>/<id>" of a normalised parent; `id` is one name.
Result<std::string> JoinGroup(std::string_view parent, std::string_view id);

}  // namespace fermata::cgroups
