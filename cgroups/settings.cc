#include "cgroups/settings.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "cgroups/internal.h"
#include "runtime/base/file.h"

namespace fermata::cgroups {
namespace {

using Text = std::optional<std::string>;

constexpr uint64_t kDefaultPeriodUs = 100000;
constexpr char kSwapFile[] = "memory.swap.max";

std::string NumberOrMax(int64_t number) { return number < 0 ? "max" : std::to_string(number); }

Text LimitOrMax(const std::optional<int64_t>& limit) {
  if (!limit) return std::nullopt;
  return NumberOrMax(*limit);
}

Text NotEmpty(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return text;
}

Text Weight(const Resources& r) {
  if (r.cpu_shares == 0) return std::nullopt;
  return std::to_string(WeightFromShares(r.cpu_shares));
}

// cpu.max is "$MAX $PERIOD"; the period cannot be written alone.
Text Bandwidth(const Resources& r) {
  if (!r.cpu_quota_us && r.cpu_period_us == 0) return std::nullopt;
  const int64_t quota = r.cpu_quota_us.value_or(-1);
  const uint64_t period = r.cpu_period_us == 0 ? kDefaultPeriodUs : r.cpu_period_us;
  return NumberOrMax(quota == 0 ? -1 : quota) + " " + std::to_string(period);
}

// v2 counts swap alone, OCI memory and swap together. CheckSwap has seen to it that the difference makes sense.
Text SwapAlone(const Resources& r) {
  if (!r.swap_limit_bytes) return std::nullopt;
  if (*r.swap_limit_bytes < 0) return "max";
  return std::to_string(*r.swap_limit_bytes - *r.memory_limit_bytes);
}

Text Switch(const std::optional<bool>& wanted) {
  if (!wanted) return std::nullopt;
  return *wanted ? "1" : "0";
}

struct Setting {
  const char* file;
  Text (*render)(const Resources&);
};

// The order matters where a limit below the present usage makes the kernel reclaim or kill: by then it must be
// known whether the group dies as one, and how much may be swapped out.
constexpr Setting kSettings[] = {
    {"cpuset.mems", [](const Resources& r) { return NotEmpty(r.cpuset_mems); }},
    {"cpuset.cpus", [](const Resources& r) { return NotEmpty(r.cpuset_cpus); }},
    {"cpu.weight", Weight},
    {"cpu.max", Bandwidth},
    {"cpu.max.burst",
     [](const Resources& r) { return r.cpu_burst_us ? Text(std::to_string(*r.cpu_burst_us)) : std::nullopt; }},
    {"cpu.idle", [](const Resources& r) { return Switch(r.cpu_idle); }},
    {"pids.max", [](const Resources& r) { return LimitOrMax(r.pids_limit); }},
    {"memory.oom.group", [](const Resources& r) { return Switch(r.oom_group); }},
    {kSwapFile, SwapAlone},
    {"memory.max", [](const Resources& r) { return LimitOrMax(r.memory_limit_bytes); }},
    {"memory.low", [](const Resources& r) { return LimitOrMax(r.memory_reservation_bytes); }},
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsNameChar(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z') || IsDigit(c) || c == '_' || c == '-'; }

std::string DeviceNumber(int64_t major, int64_t minor) { return std::to_string(major) + ':' + std::to_string(minor); }

// io.weight, io.max and rdma.max take one line a device and write.
void RenderDevices(const Resources& r, std::vector<ControlWrite>& writes) {
  if (r.io_weight != 0) writes.push_back({"io.weight", "default " + std::to_string(IoWeight(r.io_weight))});
  for (const IoDeviceWeight& device : r.io_device_weights) {
    writes.push_back(
        {"io.weight", DeviceNumber(device.major, device.minor) + ' ' + std::to_string(IoWeight(device.weight))});
  }
  for (const IoLimit& limit : r.io_limits) {
    std::string line = DeviceNumber(limit.major, limit.minor);
    const auto add = [&line](const char* key, const std::optional<uint64_t>& value) {
      if (value) line += std::string(" ") + key + "=" + (*value == 0 ? "max" : std::to_string(*value));
    };
    add("rbps", limit.read_bytes);
    add("wbps", limit.write_bytes);
    add("riops", limit.read_operations);
    add("wiops", limit.write_operations);
    writes.push_back({"io.max", std::move(line)});
  }
  for (const auto& [device, limit] : r.rdma_limits) {
    std::string line = device;
    if (limit.handles) line += " hca_handle=" + std::to_string(*limit.handles);
    if (limit.objects) line += " hca_object=" + std::to_string(*limit.objects);
    writes.push_back({"rdma.max", std::move(line)});
  }
}

Result<> CheckDevices(const Resources& r) {
  const auto weighs = [](uint64_t weight) { return weight >= 10 && weight <= 1000; };
  bool valid = r.io_weight == 0 || weighs(r.io_weight);
  for (const IoDeviceWeight& device : r.io_device_weights) valid = valid && weighs(device.weight);
  if (!valid) return Error::Make(ErrorCode::kInvalidArgument, "block I/O weight: must be between 10 and 1000");
  for (const auto& [device, limit] : r.rdma_limits) {
    if (!device.empty() && std::ranges::all_of(device, IsNameChar)) continue;
    return Error::Make(ErrorCode::kInvalidArgument, "rdma limit: \"", device, "\" is no device name like mlx5_0");
  }
  return {};
}

Result<> CheckSwap(const Resources& r) {
  if (!r.swap_limit_bytes || *r.swap_limit_bytes < 0) return {};
  if (!r.memory_limit_bytes || *r.memory_limit_bytes < 0) {
    return Error::Make(ErrorCode::kInvalidArgument, "swap limit: needs a memory limit, because it counts both");
  }
  if (*r.swap_limit_bytes < *r.memory_limit_bytes) {
    return Error::Make(ErrorCode::kInvalidArgument, "swap limit ", std::to_string(*r.swap_limit_bytes),
                       ": counts memory too and is below the memory limit ", std::to_string(*r.memory_limit_bytes));
  }
  return {};
}

// "2MB", "1GB", "64KB"
Result<> CheckPageSize(const std::string& size) {
  const size_t digits = std::find_if_not(size.begin(), size.end(), IsDigit) - size.begin();
  const std::string_view unit = std::string_view(size).substr(digits);
  if (digits > 0 && (unit == "KB" || unit == "MB" || unit == "GB")) return {};
  return Error::Make(ErrorCode::kInvalidArgument, "hugepage limit: \"", size, "\" is no page size like 2MB");
}

// "controller.name": no path, and of the cgroup.* files only the two limits. The others kill, freeze, move or
// turn threaded, which is the runtime's business.
Result<> CheckUnifiedKey(const std::string& key) {
  const std::vector<std::string_view> parts = Split(key, '.');
  const bool named = parts.size() >= 2 && key.size() <= 255 && IsLower(key.front()) &&
                     std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
                       return !part.empty() && std::all_of(part.begin(), part.end(), IsNameChar);
                     });
  if (!named) return Error::Make(ErrorCode::kInvalidArgument, "unified: \"", key, "\" is no name like memory.high");
  if (parts[0] == "cgroup" && key != "cgroup.max.depth" && key != "cgroup.max.descendants") {
    return Error::Make(ErrorCode::kInvalidArgument, "unified: ", key, " is not a limit");
  }
  return {};
}

// Some files (io.max) take one line a write.
void AppendLines(const std::string& file, const std::string& value, std::vector<ControlWrite>& writes) {
  for (const std::string_view line : Split(Trim(value), '\n')) writes.push_back({file, std::string(line)});
}

std::string ControllerOf(const std::string& file) { return file.substr(0, file.find('.')); }

// Without swap accounting in the kernel the file does not exist; then no swap at all, or any, is true already.
// The reservation limits of huge pages exist since 5.7 but not for every page size.
bool HarmlessWhenAbsent(const ControlWrite& write) {
  return (write.file == kSwapFile && (write.value == "max" || write.value == "0")) || write.file.ends_with(".rsvd.max");
}

Result<> WriteOne(const Cgroup& cgroup, const ControlWrite& write) {
  auto written = WriteControl(cgroup.fd(), write.file, write.value);
  if (written || (written.error().saved_errno() == ENOENT && HarmlessWhenAbsent(write))) return {};
  return std::move(written).error().Wrap("control group ", cgroup.Path());
}

Result<> CheckUsage(const Cgroup& cgroup, const std::optional<int64_t>& limit_bytes) {
  if (!limit_bytes || *limit_bytes < 0) return {};
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(cgroup.fd(), "memory.current"), "check memory limit");
  const uint64_t usage = std::strtoull(text.c_str(), nullptr, 10);
  if (usage <= static_cast<uint64_t>(*limit_bytes)) return {};
  return Error::Make(ErrorCode::kFailedPrecondition, "memory limit ", std::to_string(*limit_bytes),
                     ": is below the present usage of ", std::to_string(usage), " bytes");
}

// Splits off the writes whose controller the group does not have and gives a sentence for each.
std::vector<std::string> TakeImpossible(const Cgroup& cgroup, const std::vector<std::string>& controllers,
                                        std::vector<ControlWrite>& writes) {
  std::vector<std::string> sentences;
  std::erase_if(writes, [&](const ControlWrite& write) {
    const std::string controller = ControllerOf(write.file);
    if (controller == "cgroup" || std::find(controllers.begin(), controllers.end(), controller) != controllers.end()) {
      return false;
    }
    sentences.push_back("control group " + cgroup.Path() + ": " + write.file + " = " + write.value +
                        " needs the controller " + controller + ", which is not available there");
    return true;
  });
  return sentences;
}

// What cannot be written is an error or goes to the warnings; the rest stays in `writes`.
Result<ApplyReport> CheckControllers(const Cgroup& cgroup, std::vector<ControlWrite>& writes,
                                     MissingControllers missing) {
  ApplyReport report;
  if (writes.empty()) return report;
  ASSIGN_OR_RETURN(const std::vector<std::string> controllers, cgroup.Controllers(), "apply limits");
  report.warnings = TakeImpossible(cgroup, controllers, writes);
  if (missing == MissingControllers::kWarn || report.warnings.empty()) return report;
  std::string sentences;
  for (const std::string& sentence : report.warnings) sentences += (sentences.empty() ? "" : "; ") + sentence;
  sentences += "; with [cgroup] missing_controllers = \"warn\" in the configuration it starts without that limit";
  return Error(ErrorCode::kFailedPrecondition, std::move(sentences));
}

// Files with a line for each device; a write replaces the line that begins as it does.
bool HasLines(const std::string& file) { return file.starts_with("io.") || file.starts_with("rdma."); }

// The write that makes undone what `write` is about to do.
Result<ControlWrite> UndoOf(const Cgroup& cgroup, const ControlWrite& write) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(cgroup.fd(), write.file));
  if (!HasLines(write.file)) return ControlWrite{write.file, std::string(Trim(text))};
  const std::string key = write.value.substr(0, write.value.find(' '));
  for (const std::string_view line : Split(Trim(text), '\n')) {
    if (line.starts_with(key + " ")) return ControlWrite{write.file, std::string(line)};
  }
  // No line: nothing was set. The kernel shows none again once all is at its default.
  return ControlWrite{write.file, write.file == "io.max"      ? key + " rbps=max wbps=max riops=max wiops=max"
                                  : write.file == "io.weight" ? key + " default"
                                                              : key + " hca_handle=max hca_object=max"};
}

Result<> WriteOrUndo(const Cgroup& cgroup, const std::vector<ControlWrite>& writes) {
  std::vector<ControlWrite> undo;
  for (const ControlWrite& write : writes) {
    auto back = UndoOf(cgroup, write);
    if (!back && back.error().saved_errno() == ENOENT && HarmlessWhenAbsent(write)) continue;
    auto written = back ? WriteOne(cgroup, write) : Result<>(back.error());
    if (written) {
      undo.push_back(std::move(back).value());
      continue;
    }
    Error error = std::move(written).error();
    for (auto entry = undo.rbegin(); entry != undo.rend(); ++entry) {
      if (auto undone = WriteOne(cgroup, *entry); !undone) {
        error = std::move(error).Wrap("not undone: ", entry->file, ": ", undone.error().message(), "; after");
      }
    }
    return error;
  }
  return {};
}

template <typename Value>
void Replace(std::optional<Value>& base, const std::optional<Value>& change) {
  if (change) base = change;
}
void Replace(uint64_t& base, uint64_t change) {
  if (change != 0) base = change;
}
void Replace(std::string& base, const std::string& change) {
  if (!change.empty()) base = change;
}
template <typename Value>
void Replace(std::map<std::string, Value>& base, const std::map<std::string, Value>& change) {
  for (const auto& [key, value] : change) base[key] = value;
}
template <typename Value>
void Replace(std::vector<Value>& base, const std::vector<Value>& change) {
  if (!change.empty()) base = change;
}

}  // namespace

uint64_t WeightFromShares(uint64_t shares) {
  constexpr uint64_t kMinShares = 2;
  constexpr uint64_t kMaxShares = 262144;
  constexpr double kRoundingNoise = 1e-9;  // 10^2 must not become 101
  const double l = std::log2(static_cast<double>(std::clamp(shares, kMinShares, kMaxShares)));
  const double weight = std::pow(10, (l * l + 125 * l) / 612 - 7.0 / 34);
  return std::clamp<uint64_t>(static_cast<uint64_t>(std::ceil(weight - kRoundingNoise)), 1, 10000);
}

uint64_t IoWeight(uint64_t weight) { return 1 + (std::clamp<uint64_t>(weight, 10, 1000) - 10) * 9999 / 990; }

Result<std::vector<ControlWrite>> RenderSettings(const Resources& resources) {
  RETURN_IF_ERROR(CheckSwap(resources));
  RETURN_IF_ERROR(CheckDevices(resources));
  std::vector<ControlWrite> writes;
  for (const Setting& setting : kSettings) {
    if (Text value = setting.render(resources)) writes.push_back({setting.file, std::move(*value)});
  }
  RenderDevices(resources, writes);
  for (const auto& [size, bytes] : resources.hugepage_limits) {
    RETURN_IF_ERROR(CheckPageSize(size));
    // Reservations too, or a process can map pages beyond the limit and die of SIGBUS later.
    for (const char* const file : {".max", ".rsvd.max"}) {
      writes.push_back({"hugetlb." + size + file, std::to_string(bytes)});
    }
  }
  for (const auto& [key, value] : resources.unified) {
    RETURN_IF_ERROR(CheckUnifiedKey(key));
    AppendLines(key, value, writes);
  }
  return writes;
}

Result<ApplyReport> Apply(const Cgroup& cgroup, const Resources& resources, MissingControllers missing) {
  ASSIGN_OR_RETURN(std::vector<ControlWrite> writes, RenderSettings(resources));
  ASSIGN_OR_RETURN(ApplyReport report, CheckControllers(cgroup, writes, missing));
  if (writes.empty()) return report;
  if (resources.check_memory_limit) RETURN_IF_ERROR(CheckUsage(cgroup, resources.memory_limit_bytes));
  for (const ControlWrite& write : writes) RETURN_IF_ERROR(WriteOne(cgroup, write), "apply limits");
  return report;
}

Resources Merge(Resources base, const Resources& change) {
  Replace(base.cpu_shares, change.cpu_shares);
  Replace(base.cpu_quota_us, change.cpu_quota_us);
  Replace(base.cpu_period_us, change.cpu_period_us);
  Replace(base.cpu_burst_us, change.cpu_burst_us);
  Replace(base.cpu_idle, change.cpu_idle);
  Replace(base.cpuset_cpus, change.cpuset_cpus);
  Replace(base.cpuset_mems, change.cpuset_mems);
  Replace(base.memory_limit_bytes, change.memory_limit_bytes);
  Replace(base.memory_reservation_bytes, change.memory_reservation_bytes);
  Replace(base.swap_limit_bytes, change.swap_limit_bytes);
  base.check_memory_limit = change.check_memory_limit;
  Replace(base.pids_limit, change.pids_limit);
  Replace(base.io_weight, change.io_weight);
  Replace(base.io_device_weights, change.io_device_weights);
  Replace(base.io_limits, change.io_limits);
  Replace(base.rdma_limits, change.rdma_limits);
  Replace(base.hugepage_limits, change.hugepage_limits);
  Replace(base.oom_group, change.oom_group);
  Replace(base.unified, change.unified);
  return base;
}

Result<ApplyReport> Update(const Cgroup& cgroup, const Resources& before, const Resources& after,
                           MissingControllers missing) {
  ASSIGN_OR_RETURN(std::vector<ControlWrite> writes, RenderSettings(after));
  ASSIGN_OR_RETURN(const std::vector<ControlWrite> known, RenderSettings(before));
  std::erase_if(writes, [&](const ControlWrite& write) { return std::ranges::find(known, write) != known.end(); });
  ASSIGN_OR_RETURN(ApplyReport report, CheckControllers(cgroup, writes, missing));
  if (after.check_memory_limit) RETURN_IF_ERROR(CheckUsage(cgroup, after.memory_limit_bytes));
  RETURN_IF_ERROR(WriteOrUndo(cgroup, writes), "update limits");
  return report;
}

}  // namespace fermata::cgroups
