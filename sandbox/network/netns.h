// Network namespaces of pods as files that plugins can open, and what has to be done inside of one. Does not own the
// namespaces: a pin survives the daemon and is removed by name. Any thread; no thread of the caller's changes its own
// namespaces.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::sandbox {

// The network namespace of a process.
Result<UniqueFd> OpenNetns(int pid);

// Attaches the namespace to `path`, whose directory is made. What was pinned there before is replaced.
Result<> PinNetns(int netns, const std::string& path);
// Succeeds when there is nothing.
Result<> UnpinNetns(const std::string& path);
// Whether a network namespace is pinned at `path`.
bool IsPinned(const std::string& path);
// The names in `directory` that begin with `prefix`.
std::vector<std::string> ListPins(const std::string& directory, const std::string& prefix);

// Runs `body` on a thread that has entered the namespace and ends after it. Sockets that it makes stay there.
Result<> RunInNetns(int netns, const std::function<Result<>()>& body);

// What a namespace gets before anybody else puts an interface into it: no router of another pod configures it.
Result<> RefuseRouterAdvertisements(int netns);

}  // namespace fermata::sandbox
