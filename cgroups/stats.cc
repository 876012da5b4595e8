#include "cgroups/stats.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <span>
#include <string>

#include "cgroups/internal.h"
#include "runtime/base/file.h"

namespace fermata::cgroups {
namespace {

template <typename Number>
Number NumberOrZero(std::string_view text) {
  Number number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// A name in a file and where its number goes.
struct Target {
  std::string_view name;
  uint64_t* number;
};

void Store(std::string_view name, std::string_view value, std::span<const Target> targets) {
  for (const Target& target : targets) {
    if (target.name == name) *target.number = NumberOrZero<uint64_t>(value);
  }
}

// "name value" a line (cpu.stat, memory.stat).
void ParseFlatKeyed(std::string_view text, std::span<const Target> targets) {
  for (const std::string_view line : Split(text, '\n')) {
    const size_t space = line.find(' ');
    if (space != std::string_view::npos) Store(line.substr(0, space), line.substr(space + 1), targets);
  }
}

// The kernel gives a control file whole to the first read, if there is room: no second read to see its end.
Result<std::string> ReadOnce(int directory, const char* file) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(directory, file, O_RDONLY | O_NOCTTY));
  char buffer[16384];
  ssize_t count = 0;
  do {
    count = ::read(fd.get(), buffer, sizeof buffer);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return Error::Errno("read ", file);
  std::string text(buffer, static_cast<size_t>(count));
  if (text.size() < sizeof buffer) return text;
  ASSIGN_OR_RETURN(const std::string rest, ReadAll(fd.get()), file);
  return text + rest;
}

// nullopt: the file does not exist, is switched off (pressure: EOPNOTSUPP), or the group is gone.
Result<std::optional<std::string>> ReadIfThere(int directory, const char* file) {
  auto text = ReadOnce(directory, file);
  if (text) return std::optional(std::move(text).value());
  const int number = text.error().saved_errno();
  if (number == ENOENT || number == ENODEV || number == EOPNOTSUPP) return std::optional<std::string>();
  return std::move(text).error();
}

// Reads the file and parses it into `value`, or leaves that alone.
template <typename Value, typename Parse>
Result<> ReadInto(int directory, const char* file, std::optional<Value>& value, Parse parse) {
  ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadIfThere(directory, file));
  if (text) value = parse(*text);
  return {};
}

int64_t NowNanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Result<MemoryStats> EstimateMemory(const Cgroup& cgroup, std::optional<uint64_t>& processes) {
  const auto page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  ASSIGN_OR_RETURN(const std::vector<pid_t> pids, cgroup.ProcessesBelow());
  processes = pids.size();
  MemoryStats memory;
  for (const pid_t pid : pids) {
    // A process that has ended meanwhile uses nothing.
    if (auto text = ReadFileAt(AT_FDCWD, "/proc/" + std::to_string(pid) + "/statm")) {
      memory.rss_bytes += ParseStatm(*text, page_bytes);
    }
  }
  memory.usage_bytes = memory.rss_bytes;
  memory.working_set_bytes = memory.rss_bytes;
  return memory;
}

Result<> ReadMemory(const Cgroup& cgroup, Stats& stats) {
  std::optional<uint64_t> current;
  RETURN_IF_ERROR(ReadInto(cgroup.fd(), "memory.current", current, ParseNumber));
  if (!current) {
    ASSIGN_OR_RETURN(stats.memory, EstimateMemory(cgroup, stats.processes));
    stats.memory_estimated = true;
    return {};
  }
  ASSIGN_OR_RETURN(const std::optional<std::string> details, ReadIfThere(cgroup.fd(), "memory.stat"));
  stats.memory = ParseMemoryStat(details.value_or(""), *current);
  RETURN_IF_ERROR(ReadInto(cgroup.fd(), "memory.max", stats.memory->limit_bytes, ParseNumber));
  RETURN_IF_ERROR(ReadInto(cgroup.fd(), "memory.swap.current", stats.swap_bytes, ParseNumber));
  return ReadInto(cgroup.fd(), "memory.swap.max", stats.swap_limit_bytes, ParseNumber);
}

PressureLine ParsePressureLine(std::span<const std::string_view> words) {
  PressureLine line;
  for (const std::string_view word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = word.substr(equals + 1);
    if (name == "avg10") line.average10 = NumberOrZero<double>(value);
    if (name == "avg60") line.average60 = NumberOrZero<double>(value);
    if (name == "avg300") line.average300 = NumberOrZero<double>(value);
    if (name == "total") line.total_us = NumberOrZero<uint64_t>(value);
  }
  return line;
}

// Of Stats or Contention.
template <typename Pressures>
Result<> ReadPressures(const Cgroup& cgroup, Pressures& out) {
  RETURN_IF_ERROR(ReadInto(cgroup.fd(), "cpu.pressure", out.cpu_pressure, ParsePressure));
  RETURN_IF_ERROR(ReadInto(cgroup.fd(), "memory.pressure", out.memory_pressure, ParsePressure));
  return ReadInto(cgroup.fd(), "io.pressure", out.io_pressure, ParsePressure);
}

// Every group has cpu.stat, with and without controller.
Error Gone(const Cgroup& cgroup) {
  return Error::Make(ErrorCode::kNotFound, "read statistics of ", cgroup.Path(), ": group is gone");
}

}  // namespace

CpuStats ParseCpuStat(std::string_view text) {
  CpuStats cpu;
  const Target targets[] = {
      {"usage_usec", &cpu.usage_us},
      {"user_usec", &cpu.user_us},
      {"system_usec", &cpu.system_us},
      {"nr_periods", &cpu.periods},
      {"nr_throttled", &cpu.throttled_periods},
      {"throttled_usec", &cpu.throttled_us},
  };
  ParseFlatKeyed(text, targets);
  return cpu;
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  text = Trim(text);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

MemoryStats ParseMemoryStat(std::string_view text, uint64_t usage_bytes) {
  MemoryStats memory;
  uint64_t inactive_file = 0;
  uint64_t faults = 0;
  uint64_t major_faults = 0;
  const Target targets[] = {
      {"anon", &memory.rss_bytes},      {"inactive_file", &inactive_file}, {"pgfault", &faults},
      {"pgmajfault", &major_faults},    {"file", &memory.file_bytes},      {"file_mapped", &memory.mapped_file_bytes},
      {"kernel", &memory.kernel_bytes},
  };
  ParseFlatKeyed(text, targets);
  memory.usage_bytes = usage_bytes;
  // The two are not read at the same moment.
  memory.working_set_bytes = usage_bytes > inactive_file ? usage_bytes - inactive_file : 0;
  memory.page_faults = faults;
  memory.major_page_faults = major_faults;
  return memory;
}

std::vector<DeviceIo> ParseDeviceIo(std::string_view text) {
  std::vector<DeviceIo> devices;
  for (const std::string_view line : Split(text, '\n')) {
    const std::vector<std::string_view> words = Split(line, ' ');
    if (words[0].empty()) continue;
    DeviceIo device{std::string(words[0]), {}};
    const Target targets[] = {
        {"rbytes", &device.io.read_bytes},
        {"wbytes", &device.io.write_bytes},
        {"rios", &device.io.read_operations},
        {"wios", &device.io.write_operations},
    };
    for (const std::string_view word : words) {
      const size_t equals = word.find('=');
      if (equals != std::string_view::npos) Store(word.substr(0, equals), word.substr(equals + 1), targets);
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

IoStats ParseIoStat(std::string_view text) {
  IoStats sum;
  for (const DeviceIo& device : ParseDeviceIo(text)) {
    sum.read_bytes += device.io.read_bytes;
    sum.write_bytes += device.io.write_bytes;
    sum.read_operations += device.io.read_operations;
    sum.write_operations += device.io.write_operations;
  }
  return sum;
}

uint64_t ParseKeyed(std::string_view text, std::string_view name) {
  uint64_t number = 0;
  const Target targets[] = {{name, &number}};
  ParseFlatKeyed(text, targets);
  return number;
}

Pressure ParsePressure(std::string_view text) {
  Pressure pressure;
  for (const std::string_view line : Split(text, '\n')) {
    const std::vector<std::string_view> words = Split(line, ' ');
    if (words[0] == "some") pressure.some = ParsePressureLine(words);
    if (words[0] == "full") pressure.full = ParsePressureLine(words);
  }
  return pressure;
}

uint64_t ParseStatm(std::string_view text, uint64_t page_bytes) {
  const std::vector<std::string_view> words = Split(text, ' ');
  return words.size() < 2 ? 0 : NumberOrZero<uint64_t>(words[1]) * page_bytes;
}

Result<Stats> Read(const Cgroup& cgroup) {
  Stats stats;
  stats.timestamp_ns = NowNanoseconds();
  RETURN_IF_ERROR(ReadInto(cgroup.fd(), "cpu.stat", stats.cpu, ParseCpuStat));
  if (!stats.cpu) return Gone(cgroup);
  RETURN_IF_ERROR(ReadMemory(cgroup, stats));
  RETURN_IF_ERROR(ReadInto(cgroup.fd(), "pids.current", stats.pids, ParseNumber));
  RETURN_IF_ERROR(ReadInto(cgroup.fd(), "io.stat", stats.io, ParseIoStat));
  RETURN_IF_ERROR(ReadPressures(cgroup, stats));
  return stats;
}

Result<Details> ReadDetails(const Cgroup& cgroup) {
  // Sizes that some architecture has, as the kernel writes them.
  static constexpr std::array<const char*, 6> kPageSizes = {"64KB", "2MB", "32MB", "512MB", "1GB", "16GB"};
  Details details;
  const int group = cgroup.fd();
  RETURN_IF_ERROR(ReadInto(group, "memory.peak", details.memory_peak_bytes, ParseNumber));
  RETURN_IF_ERROR(ReadInto(group, "pids.max", details.pids_limit, ParseNumber));
  ASSIGN_OR_RETURN(const std::optional<std::string> events, ReadIfThere(group, "memory.events"));
  if (events) {
    details.memory_limit_hits = ParseKeyed(*events, "max");
    details.oom_kills = ParseKeyed(*events, "oom_kill");
  }
  ASSIGN_OR_RETURN(const std::optional<std::string> io, ReadIfThere(group, "io.stat"));
  if (io) details.io = ParseDeviceIo(*io);
  for (const char* size : kPageSizes) {
    std::optional<uint64_t> bytes;
    RETURN_IF_ERROR(ReadInto(group, ("hugetlb." + std::string(size) + ".current").c_str(), bytes, ParseNumber));
    if (bytes) details.hugepage_bytes[size] = *bytes;
  }
  return details;
}

Result<Contention> ReadContention(const Cgroup& cgroup) {
  Contention contention;
  ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadIfThere(cgroup.fd(), "cpu.stat"));
  if (!text) return Gone(cgroup);
  if (text->find("nr_throttled ") != std::string::npos) {
    const CpuStats cpu = ParseCpuStat(*text);
    contention.throttled_periods = cpu.throttled_periods;
    contention.throttled_us = cpu.throttled_us;
  }
  RETURN_IF_ERROR(ReadPressures(cgroup, contention));
  return contention;
}

}  // namespace fermata::cgroups
