// The tcpSocket probe: whether a connection can be made; it is closed at once. Any thread; `done` comes on the loop's.
#pragma once

#include "sandbox/probe/network_probe.h"

namespace fermata::sandbox::probe {

// Makes a connection; the error says why there is none.
void Dial(const NetworkRun& run, int port, std::function<void(Result<UniqueFd>)> done);

void RunTcpProbe(const NetworkRun& run, const TcpAction& action, ProbeDone done);

}  // namespace fermata::sandbox::probe
