// Logging of the daemon: one line an event on standard error, through spdlog. Only cri/, the main
// functions, the recovery loop and undo log; everything else returns its errors.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

#include "runtime/base/result.h"

namespace fermata::log {

// Level: trace, debug, info, warn, error. kInvalidArgument for any other word.
Result<> Setup(const std::string& level);

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

}  // namespace fermata::log
