#include "sandbox/stats/process_counts.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>

#include "runtime/base/file.h"

namespace fermata::sandbox::stats {
namespace {

constexpr uint64_t kMostFiles = 16384;

void CountFiles(int process, ProcessCounts& counts) {
  auto directory = OpenAt(process, "fd", O_RDONLY | O_DIRECTORY);
  if (!directory) return;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(directory->get()), &::closedir);
  if (stream == nullptr) return;
  (void)directory->Release();  // closedir closes it
  while (counts.files < kMostFiles) {
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) return;
    if (entry->d_name[0] == '.') continue;
    ++counts.files;
    char target[16];
    const ssize_t length = ::readlinkat(::dirfd(stream.get()), entry->d_name, target, sizeof target);
    if (length > 0 && std::string_view(target, static_cast<size_t>(length)).starts_with("socket:")) ++counts.sockets;
  }
}

void CountThreads(int process, ProcessCounts& counts) {
  struct stat status {};
  // One link for each thread, besides the two of every directory.
  if (::fstatat(process, "task", &status, 0) == 0 && status.st_nlink > 2) counts.threads += status.st_nlink - 2;
}

}  // namespace

std::optional<uint64_t> ParseFileLimit(std::string_view text) {
  constexpr std::string_view kName = "Max open files";
  const size_t at = text.find(kName);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + kName.size());
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  uint64_t limit = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), limit).ec != std::errc()) return std::nullopt;
  return limit;
}

ProcessCounts CountProcesses(std::span<const pid_t> pids, ProcessDetail detail) {
  ProcessCounts counts;
  counts.processes = pids.size();
  if (detail == ProcessDetail::kCount) return counts;
  bool first = true;
  for (const pid_t pid : pids) {
    const auto process = OpenAt(AT_FDCWD, "/proc/" + std::to_string(pid), O_RDONLY | O_DIRECTORY);
    if (!process) continue;
    CountThreads(process->get(), counts);
    CountFiles(process->get(), counts);
    if (first) {
      if (const auto limits = ReadFileAt(process->get(), "limits")) counts.soft_file_limit = ParseFileLimit(*limits);
    }
    first = false;
  }
  return counts;
}

}  // namespace fermata::sandbox::stats
