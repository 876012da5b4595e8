#include "cgroups/settings.h"

#include <algorithm>
#include <cerrno>
#include <cmath>

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

Text OomGroup(const Resources& r) {
  if (!r.oom_group) return std::nullopt;
  return *r.oom_group ? "1" : "0";
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
    {"pids.max", [](const Resources& r) { return LimitOrMax(r.pids_limit); }},
    {"memory.oom.group", OomGroup},
    {kSwapFile, SwapAlone},
    {"memory.max", [](const Resources& r) { return LimitOrMax(r.memory_limit_bytes); }},
    {"memory.low", [](const Resources& r) { return LimitOrMax(r.memory_reservation_bytes); }},
};

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

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsNameChar(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z') || IsDigit(c) || c == '_' || c == '-'; }

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

}  // namespace

uint64_t WeightFromShares(uint64_t shares) {
  constexpr uint64_t kMinShares = 2;
  constexpr uint64_t kMaxShares = 262144;
  constexpr double kRoundingNoise = 1e-9;  // 10^2 must not become 101
  const double l = std::log2(static_cast<double>(std::clamp(shares, kMinShares, kMaxShares)));
  const double weight = std::pow(10, (l * l + 125 * l) / 612 - 7.0 / 34);
  return std::clamp<uint64_t>(static_cast<uint64_t>(std::ceil(weight - kRoundingNoise)), 1, 10000);
}

Result<std::vector<ControlWrite>> RenderSettings(const Resources& resources) {
  RETURN_IF_ERROR(CheckSwap(resources));
  std::vector<ControlWrite> writes;
  for (const Setting& setting : kSettings) {
    if (Text value = setting.render(resources)) writes.push_back({setting.file, std::move(*value)});
  }
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
  ApplyReport report;
  if (writes.empty()) return report;
  ASSIGN_OR_RETURN(const std::vector<std::string> controllers, cgroup.Controllers(), "apply limits");
  report.warnings = TakeImpossible(cgroup, controllers, writes);
  if (missing == MissingControllers::kError && !report.warnings.empty()) {
    std::string sentences;
    for (const std::string& sentence : report.warnings) sentences += (sentences.empty() ? "" : "; ") + sentence;
    sentences += "; with [cgroup] missing_controllers = \"warn\" in the configuration it starts without that limit";
    return Error(ErrorCode::kFailedPrecondition, std::move(sentences));
  }
  for (const ControlWrite& write : writes) RETURN_IF_ERROR(WriteOne(cgroup, write), "apply limits");
  return report;
}

}  // namespace fermata::cgroups
