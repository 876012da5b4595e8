// What the kernel says of this process itself. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace fermata::cri {

struct ProcessFacts {
  uint64_t resident_bytes = 0, virtual_bytes = 0;
  uint64_t open_fds = 0, max_fds = 0, threads = 0;
  double cpu_seconds = 0, start_time_seconds = 0;  // the latter since 1970
};

// 0 for what cannot be read. Source: proc_pid_stat(5).
ProcessFacts ReadProcessFacts();

// Open descriptors by what they stand for: "socket", "pipe", "anon_inode:[eventpoll]", "file", ...
std::map<std::string, uint64_t> OpenFilesByKind();

// Proportional memory in bytes (smaps_rollup), which takes a walk through all pages; 0 if it cannot be read.
uint64_t ProportionalBytes();

}  // namespace fermata::cri
