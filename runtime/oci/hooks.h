// Hooks that run on the host (runtime-spec config.md, "POSIX-platform Hooks"). One thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime::oci {

// One after the other, each with `state` on its standard input. The first failure ends it; one that takes longer than
// its timeout is killed.
Result<> RunHooks(const std::vector<Hook>& hooks, std::string_view point, const std::string& state);

}  // namespace fermata::runtime::oci
