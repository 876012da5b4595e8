#include "cgroups/mount.h"

#include <fcntl.h>

#include <optional>
#include <vector>

#include "runtime/base/file.h"

namespace fermata::cgroups {
namespace {

constexpr size_t kRootField = 3;
constexpr size_t kMountPointField = 4;
constexpr size_t kFirstOptionalField = 6;

std::vector<std::string_view> SplitFields(std::string_view line) {
  std::vector<std::string_view> fields;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    fields.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return fields;
}

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes space, tab, newline and backslash as \ooo.
std::string Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '\\' && i + 3 < text.size() && IsOctal(text[i + 1]) && IsOctal(text[i + 2]) && IsOctal(text[i + 3]);
    if (!escape) {
      plain.push_back(text[i]);
      continue;
    }
    plain.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
    i += 3;
  }
  return plain;
}

struct Mount {
  std::string_view root;
  std::string_view mount_point;
};

// nullopt: another file system, or no line of mountinfo at all.
std::optional<Mount> ParseLine(std::string_view line) {
  const std::vector<std::string_view> fields = SplitFields(line);
  for (size_t i = kFirstOptionalField; i + 1 < fields.size(); ++i) {
    if (fields[i] != "-") continue;  // ends the optional fields; the file system type follows
    if (fields[i + 1] != "cgroup2") return std::nullopt;
    return Mount{fields[kRootField], fields[kMountPointField]};
  }
  return std::nullopt;
}

}  // namespace

Result<std::string> ParseCgroup2Mount(std::string_view mountinfo) {
  std::optional<Mount> partial;
  while (!mountinfo.empty()) {
    const size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    if (const std::optional<Mount> mount = ParseLine(mountinfo.substr(0, end))) {
      if (mount->root == "/") return Unescape(mount->mount_point);
      if (!partial) partial = mount;
    }
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
  }
  if (partial) return Unescape(partial->mount_point);
  return Error::Make(ErrorCode::kNotFound, "find cgroup2 mount: control groups v2 are not mounted");
}

Result<std::string> FindCgroup2Mount() {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", size_t{64} << 20));
  return ParseCgroup2Mount(text);
}

}  // namespace fermata::cgroups
