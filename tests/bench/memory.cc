#include "tests/bench/memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace fermata::bench {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string LastPart(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool NameMatches(const std::string& process, const std::regex& pattern) {
  const std::string arguments = ReadAll(process + "/cmdline");
  std::string comm = ReadAll(process + "/comm");
  if (!comm.empty()) comm.pop_back();
  return std::regex_match(LastPart(arguments.substr(0, arguments.find('\0'))), pattern) ||
         std::regex_match(comm, pattern);
}

void AddProcess(const std::string& process, Memory& sum) {
  std::istringstream rollup(ReadAll(process + "/smaps_rollup"));
  std::string key;
  uint64_t kilobytes = 0;
  std::getline(rollup, key);  // the range of addresses
  bool found = false;
  for (std::string line; std::getline(rollup, line);) {
    std::istringstream fields(line);
    if (!(fields >> key >> kilobytes)) continue;
    if (key == "Pss:") sum.pss_kb += kilobytes;
    if (key == "Rss:") sum.rss_kb += kilobytes;
    found = true;
  }
  sum.processes += found ? 1 : 0;  // a process that is gone, or of the kernel, has none
}

}  // namespace

Memory MeasureMemory(pid_t daemon, const std::regex& helpers) {
  Memory sum;
  if (daemon <= 0) return sum;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    if (name == std::to_string(daemon) || NameMatches(entry.path(), helpers)) AddProcess(entry.path(), sum);
  }
  return sum;
}

}  // namespace fermata::bench
