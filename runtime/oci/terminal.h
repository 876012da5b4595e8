// Sockets that terminals travel through, and the terminal of a container in the foreground. One thread.
#pragma once

#include <string>

#include "runtime/base/pidfd.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::runtime::oci {

// A stream connection to a unix socket by path, of any length: it goes by the descriptor of its directory.
Result<UniqueFd> ConnectUnix(const std::string& path);

// The one descriptor that comes over `socket`; kUnavailable when it is closed without.
Result<UniqueFd> ReceiveDescriptor(int socket);
// `text` with a descriptor.
Result<> SendDescriptor(int socket, const std::string& text, int fd);

// A signalfd of all signals, which from now on wait there; whoever is launched later has them unblocked.
Result<UniqueFd> HoldSignals();

// Passes those signals on to the process, and bytes between our standard streams and `terminal` (-1: it has ours),
// until it has ended; gives its exit code, 128+n for signal n. Our terminal is in raw mode meanwhile. The process is
// our child.
Result<int> Attend(const Pidfd& process, int terminal, int signals);

}  // namespace fermata::runtime::oci
