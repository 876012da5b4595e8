// Names of signals. Pure; any thread.
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace fermata {

// SIGTERM for "", "SIGTERM", "TERM", "15", "RTMIN+3", ...; kInvalidArgument for anything else.
Result<int> ParseSignal(const std::string& text);

}  // namespace fermata
