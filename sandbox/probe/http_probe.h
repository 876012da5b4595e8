// The httpGet probe: one GET by kubelet's rules (2xx and 3xx are good, redirections within the host are followed, TLS
// is not verified). And the httpGet hook, for which any answer is good. Any thread; `done` comes on the loop's.
#pragma once

#include "sandbox/probe/network_probe.h"

namespace fermata::sandbox::probe {

void RunHttpProbe(const NetworkRun& run, const HttpAction& action, ProbeDone done);
void RunHttpHook(const NetworkRun& run, const HttpAction& action, std::function<void(Result<>)> done);

// The headers of a request, as libcurl takes them.
std::vector<std::string> HttpHeaders(const HttpAction& action);
std::string HttpUrl(const HttpAction& action, const std::string& host);

}  // namespace fermata::sandbox::probe
