// How many processes, threads and open files a list of processes has. No state; any thread. A process that ends
// meanwhile counts as far as it was looked at.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace fermata::sandbox::stats {

enum class ProcessDetail : uint8_t { kCount, kAll };  // kCount: only `processes`

struct ProcessCounts {
  uint64_t processes = 0, threads = 0, files = 0, sockets = 0;
  std::optional<uint64_t> soft_file_limit;  // of the first process; absent without limit
};

// Looks at 16,384 open files at most: a tenant could have millions.
ProcessCounts CountProcesses(std::span<const pid_t> pids, ProcessDetail detail);

// The soft limit of "Max open files" in the text of /proc/PID/limits.
std::optional<uint64_t> ParseFileLimit(std::string_view text);

}  // namespace fermata::sandbox::stats
