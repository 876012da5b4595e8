// Which sysctls a container may set, and to what: only those of namespaces that it has for itself. Pure; any thread.
// Source: proc_sys(5); threat table C-01 and C-02.
#pragma once

#include <string_view>

#include "runtime/base/result.h"

namespace fermata::runtime {

// The namespaces that are not the host's.
struct SysctlOwner {
  bool network = false;
  bool ipc = false;
  bool uts = false;
};

// kInvalidArgument says what is wrong with the name or the value. Names are written with dots or slashes.
Result<> CheckSysctl(std::string_view name, std::string_view value, const SysctlOwner& owner);

}  // namespace fermata::runtime
