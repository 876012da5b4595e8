#include "sandbox/stats/metric_readers.h"

#include <charconv>
#include <string_view>
#include <utility>

namespace fermata::sandbox::stats {
namespace {

// "8:0" to its two numbers.
std::pair<std::string, std::string> SplitDevice(const std::string& device) {
  const size_t colon = device.find(':');
  if (colon == std::string::npos) return {device, ""};
  return {device.substr(0, colon), device.substr(colon + 1)};
}

uint32_t NumberOf(std::string_view text) {
  uint32_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string NameOf(const std::string& device) {
  const auto [major, minor] = SplitDevice(device);
  return DeviceName(NumberOf(major), NumberOf(minor));
}

}  // namespace

// The kernel counts for a group with all below it, so both scopes are the same.
void ReadFailures(const MetricInput& input, std::vector<MetricValue>& values) {
  if (input.group == nullptr || !input.group->stats.memory) return;
  const cgroups::MemoryStats& memory = *input.group->stats.memory;
  for (const char* scope : {"container", "hierarchy"}) {
    values.push_back({{"pgfault", scope}, memory.page_faults.value_or(0)});
    values.push_back({{"pgmajfault", scope}, memory.major_page_faults.value_or(0)});
  }
}

void ReadDeviceUsage(const MetricInput& input, std::vector<MetricValue>& values) {
  if (input.details == nullptr) return;
  for (const cgroups::DeviceIo& device : input.details->io) {
    const auto [major, minor] = SplitDevice(device.device);
    const std::string name = NameOf(device.device);
    values.push_back({{name, major, minor, "Read"}, device.io.read_bytes});
    values.push_back({{name, major, minor, "Write"}, device.io.write_bytes});
  }
}

void AddDeviceIo(const MetricInput& input, uint64_t cgroups::IoStats::*field, std::vector<MetricValue>& values) {
  if (input.details == nullptr) return;
  for (const cgroups::DeviceIo& device : input.details->io)
    values.push_back({{NameOf(device.device)}, device.io.*field});
}

void ReadHugepages(const MetricInput& input, std::vector<MetricValue>& values) {
  if (input.details == nullptr) return;
  for (const auto& [size, bytes] : input.details->hugepage_bytes) values.push_back({{size}, bytes});
}

void ReadSoftLimits(const MetricInput& input, std::vector<MetricValue>& values) {
  if (input.processes == nullptr || !input.processes->soft_file_limit) return;
  values.push_back({{"max_open_files"}, *input.processes->soft_file_limit});
}

}  // namespace fermata::sandbox::stats
