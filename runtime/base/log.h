// Logging of the daemon through spdlog: one line an event on standard error, or an entry of systemd's journal. Each
// names the sandbox, container, pod and image that its thread works for (operation.h). Only cri/, the main functions,
// the recovery loop and undo log; everything else returns its errors.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

#include "runtime/base/result.h"

namespace fermata::log {

struct Options {
  std::string level = "info";   // trace, debug, info, warn, error
  std::string format = "text";  // text; json: one object a line; journald: fields of their own in the journal
  std::string journal_socket = "/run/systemd/journal/socket";
};

// kInvalidArgument for any other word, kUnavailable where no journal answers. Control bytes never reach standard error.
Result<> Setup(const Options& options);

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

}  // namespace fermata::log
