#include "cri/process_facts.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <ctime>
#include <sstream>
#include <vector>

#include "runtime/base/file.h"

namespace fermata::cri {
namespace {

std::vector<std::string> OwnDescriptors() {
  const auto directory = OpenAt(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY);
  if (!directory) return {};
  auto names = ListDirectory(directory->get());
  if (!names) return {};
  std::erase(*names, std::to_string(directory->get()));  // our look
  return std::move(*names);
}

// Seconds since 1970 of `ticks` after the boot.
double SinceEpoch(double seconds_after_boot) {
  timespec now{}, up{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  (void)::clock_gettime(CLOCK_BOOTTIME, &up);
  const auto seconds = [](const timespec& t) {
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  return seconds(now) - seconds(up) + seconds_after_boot;
}

}  // namespace

ProcessFacts ReadProcessFacts() {
  ProcessFacts facts;
  facts.open_fds = OwnDescriptors().size();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) facts.max_fds = limit.rlim_cur;
  const auto stat = ReadFileAt(AT_FDCWD, "/proc/self/stat");
  if (!stat) return facts;
  // The name in brackets may have blanks; what follows are fields 3 and so on.
  std::istringstream fields(stat->substr(std::min(stat->rfind(')') + 2, stat->size())));
  std::vector<std::string> words(std::istream_iterator<std::string>{fields}, {});
  const auto field = [&](size_t number) {
    return number - 3 < words.size() ? std::strtoull(words[number - 3].c_str(), nullptr, 10) : 0;
  };
  const auto hertz = static_cast<double>(::sysconf(_SC_CLK_TCK));
  facts.cpu_seconds = static_cast<double>(field(14) + field(15)) / hertz;
  facts.threads = field(20);
  facts.start_time_seconds = SinceEpoch(static_cast<double>(field(22)) / hertz);
  facts.virtual_bytes = field(23);
  facts.resident_bytes = field(24) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return facts;
}

std::map<std::string, uint64_t> OpenFilesByKind() {
  std::map<std::string, uint64_t> kinds;
  for (const std::string& name : OwnDescriptors()) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlink(("/proc/self/fd/" + name).c_str(), target.data(), target.size());
    if (size <= 0) continue;  // closed meanwhile
    std::string text(target.data(), static_cast<size_t>(size));
    if (text.starts_with("/sys/fs/cgroup")) {
      text = "cgroup";
    } else if (text.starts_with("/memfd:")) {
      text = "memfd";
    } else if (text.starts_with("/")) {
      text = "file";
    } else if (const size_t colon = text.find(":["); colon != std::string::npos && !text.starts_with("anon_inode")) {
      text.resize(colon);  // sockets, pipes and namespaces have numbers
    }
    ++kinds[text];
  }
  return kinds;
}

uint64_t ProportionalBytes() {
  const auto text = ReadFileAt(AT_FDCWD, "/proc/self/smaps_rollup");
  if (!text) return 0;
  const size_t at = text->find("\nPss:");
  if (at == std::string::npos) return 0;
  return std::strtoull(text->c_str() + at + 5, nullptr, 10) * 1024;
}

}  // namespace fermata::cri
