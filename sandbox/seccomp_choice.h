// Which seccomp profile a container gets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

// nullopt: unconfined, because it was asked for in so many words or the container is privileged.
// kInvalidArgument for a Localhost profile that is missing, empty or broken: never silently unconfined.
Result<std::optional<runtime::Seccomp>> ChooseSeccomp(const SecurityContext& security,
                                                      const std::vector<std::string>& capabilities);

}  // namespace fermata::sandbox
