// Ids of sandboxes and containers: 64 lower-case hex digits from getrandom(2).
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace fermata {
Result<std::string> RandomId();
}  // namespace fermata
