// User namespaces: made by a short-lived child, held by descriptor (user_namespaces(7)).
// For single-threaded programs: the monitor and the OCI command line.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::runtime {

// A new user namespace with these maps, in the format of /proc/PID/uid_map. It lives as long as the descriptor, or a
// process in it. kInvalidArgument when the kernel refuses a map.
Result<UniqueFd> MakeUserNamespace(const std::string& uid_map, const std::string& gid_map);

}  // namespace fermata::runtime
