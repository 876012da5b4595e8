// What a service manager is told that has started the daemon as a service of Type=notify. Any thread.
// Source: sd_notify(3), "Notes": a datagram to the socket that NOTIFY_SOCKET names.
#pragma once

#include <string_view>

#include "runtime/base/result.h"

namespace fermata::cri {

// "READY=1", "STOPPING=1". Nobody to tell is no error.
Result<> NotifyServiceManager(std::string_view state);

}  // namespace fermata::cri
