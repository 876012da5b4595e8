// What a control group has used. Reading keeps no state; any thread.
//
// A file that is not there, because its controller is not, leaves std::nullopt. Numbers are of the group with
// everything below it, since it was made. Units: nanoseconds for the time stamp, microseconds as the kernel has
// them, bytes. Kernel: Documentation/admin-guide/cgroup-v2.rst and Documentation/accounting/psi.rst.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cgroups/cgroup.h"
#include "runtime/base/result.h"

namespace fermata::cgroups {

struct CpuStats {
  uint64_t usage_us = 0;
  uint64_t user_us = 0;
  uint64_t system_us = 0;
  // With the cpu controller only; 0 without.
  uint64_t periods = 0;
  uint64_t throttled_periods = 0;
  uint64_t throttled_us = 0;
};

struct MemoryStats {
  uint64_t usage_bytes = 0;             // page cache included
  uint64_t working_set_bytes = 0;       // usage without the inactive page cache: what cannot simply be dropped
  uint64_t rss_bytes = 0;               // anonymous memory
  std::optional<uint64_t> limit_bytes;  // of this group; absent without limit
  std::optional<uint64_t> page_faults;
  std::optional<uint64_t> major_page_faults;
  // 0 where there is no memory controller.
  uint64_t file_bytes = 0;  // the page cache
  uint64_t mapped_file_bytes = 0;
  uint64_t kernel_bytes = 0;
};

// Sums over all devices.
struct IoStats {
  uint64_t read_bytes = 0;
  uint64_t write_bytes = 0;
  uint64_t read_operations = 0;
  uint64_t write_operations = 0;
};

struct PressureLine {
  double average10 = 0;  // percent of the last 10, 60, 300 seconds
  double average60 = 0;
  double average300 = 0;
  uint64_t total_us = 0;
};

struct Pressure {
  PressureLine some;
  PressureLine full;  // zero for cpu before Linux 5.13
};

struct Stats {
  int64_t timestamp_ns = 0;  // since 1970
  std::optional<CpuStats> cpu;
  std::optional<MemoryStats> memory;
  // No memory controller: `memory` is the sum of the processes' resident sets. Shared pages count once a
  // process, the page cache and page faults not at all.
  bool memory_estimated = false;
  std::optional<uint64_t> processes;  // how many that sum was made of; absent with a memory controller
  std::optional<uint64_t> swap_bytes;
  std::optional<uint64_t> swap_limit_bytes;  // swap alone; absent without limit
  std::optional<uint64_t> pids;              // tasks: threads count
  std::optional<IoStats> io;
  std::optional<Pressure> cpu_pressure;
  std::optional<Pressure> memory_pressure;
  std::optional<Pressure> io_pressure;
};

// What a group had to wait for: few and small files.
struct Contention {
  std::optional<uint64_t> throttled_periods, throttled_us;  // absent without the cpu controller
  std::optional<Pressure> cpu_pressure, memory_pressure, io_pressure;
};

struct DeviceIo {
  std::string device;  // "8:0"
  IoStats io;
};

// What only the full set of metrics asks for.
struct Details {
  std::optional<uint64_t> memory_peak_bytes;
  std::optional<uint64_t> memory_limit_hits;  // an allocation met the limit
  std::optional<uint64_t> oom_kills;
  std::optional<uint64_t> pids_limit;  // absent without limit
  std::vector<DeviceIo> io;
  std::map<std::string, uint64_t> hugepage_bytes;  // by page size: "2MB"
};

// kNotFound when the group has been removed. One open and one read a file.
Result<Stats> Read(const Cgroup& cgroup);
Result<Details> ReadDetails(const Cgroup& cgroup);
Result<Contention> ReadContention(const Cgroup& cgroup);

// The parsers: text of one file in, numbers out. What they do not know they skip; what is missing is zero.
CpuStats ParseCpuStat(std::string_view text);
std::optional<uint64_t> ParseNumber(std::string_view text);  // absent for "max" too
// memory.stat with the content of memory.current.
MemoryStats ParseMemoryStat(std::string_view text, uint64_t usage_bytes);
IoStats ParseIoStat(std::string_view text);
std::vector<DeviceIo> ParseDeviceIo(std::string_view text);
// The number behind `name` in a file of "name value" lines (memory.events).
uint64_t ParseKeyed(std::string_view text, std::string_view name);
Pressure ParsePressure(std::string_view text);
// Resident bytes of /proc/PID/statm.
uint64_t ParseStatm(std::string_view text, uint64_t page_bytes);

}  // namespace fermata::cgroups
