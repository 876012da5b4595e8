#include "runtime/monitor/control_group.h"

#include <fcntl.h>
#include <unistd.h>

#include <string_view>

#include "runtime/base/file.h"

namespace fermata::runtime {
namespace {

// The number behind `key` in "key number\n" lines; 0 if absent.
unsigned long FlatKey(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ' ') {
      unsigned long number = 0;
      for (const char digit : line.substr(key.size() + 1))
        number = number * 10 + static_cast<unsigned long>(digit - '0');
      return number;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}

}  // namespace

Result<> KillGroup(int directory) {
  Result<> killed = WriteControl(directory, "cgroup.kill", "1");
  if (!killed && (killed.error().saved_errno() == ENOENT || killed.error().saved_errno() == ENODEV)) return {};
  return killed;
}

bool GroupPopulated(int events) {
  char text[256];
  const ssize_t count = ::pread(events, text, sizeof text, 0);
  return count > 0 && FlatKey({text, static_cast<size_t>(count)}, "populated") != 0;
}

Result<UniqueFd> OpenGroupEvents(int directory) { return OpenAt(directory, "cgroup.events", O_RDONLY); }

bool GroupHadOomKill(int directory) {
  const auto text = ReadFileAt(directory, "memory.events");
  return text && FlatKey(*text, "oom_kill") != 0;
}

}  // namespace fermata::runtime
