// What the daemon gives up for itself. Its monitors and helpers are programs of their own: they get what they need
// anew when they are executed, because the bounding set stays (containers may ask for any of it).
#pragma once

#include "runtime/base/result.h"

namespace fermata::cri {

// The capabilities that no code of the daemon needs: modules, the clock, raw I/O, the kernel's log, ... And its memory,
// which holds other people's secrets, is neither dumped nor read by other processes. Before the first thread exists.
Result<> DropPrivileges();

}  // namespace fermata::cri
