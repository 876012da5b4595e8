// The leak audit: what the daemon believes that it holds of the machine against what is there. Only looks; any thread.
// Some listings of directories and one of mounts, no process is asked.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sandbox/engine.h"

namespace fermata::sandbox {

struct AuditLine {
  std::string kind;                      // cgroup, monitor_cgroup, run_directory, netns, mount
  size_t known = 0;                      // of how many objects the records tell
  size_t found = 0;                      // how many there are
  std::vector<std::string> unaccounted;  // their names: there, and of no record
};

// Of sandboxes: ids with a recorded attachment, and those whose network namespace is pinned.
struct AuditedNetwork {
  std::function<std::vector<std::string>()> attached, pinned;
};

// What comes or goes meanwhile is not reported as unaccounted.
std::vector<AuditLine> Audit(const Engine& engine, const AuditedNetwork& network);

}  // namespace fermata::sandbox
