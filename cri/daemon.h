// The daemon: everything wired by hand, from the configuration to the socket. One instance a process.
#pragma once

#include "cri/config.h"
#include "runtime/base/result.h"

namespace fermata::cri {

// Serves until SIGTERM or SIGINT, or until nothing was there to do for config.exit_when_idle_seconds. Pods go on
// running. Signals must be blocked in the whole process before this is called.
Result<> RunDaemon(const DaemonConfig& config);

}  // namespace fermata::cri
