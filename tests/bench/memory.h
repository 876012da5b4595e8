// What a runtime's own processes take: the daemon, and its helpers (monitors or shims, pauses) by their names.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <regex>

namespace fermata::bench {

struct Memory {
  uint64_t pss_kb = 0;  // each page divided by how many map it
  uint64_t rss_kb = 0;
  int processes = 0;
};

// The sum over `daemon` and every process whose name (argv[0] or comm, without directories) matches all of `helpers`.
// Zeros without a daemon.
Memory MeasureMemory(pid_t daemon, const std::regex& helpers);

}  // namespace fermata::bench
