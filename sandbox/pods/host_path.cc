#include "sandbox/pods/host_path.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "runtime/base/file.h"

namespace fermata::sandbox::pods {
namespace {

struct Kind {
  std::string_view type;
  mode_t format;  // S_IFMT bits that are wanted
  bool create;
};
constexpr std::array kKinds = {Kind{"Directory", S_IFDIR, false},  Kind{"DirectoryOrCreate", S_IFDIR, true},
                               Kind{"File", S_IFREG, false},       Kind{"FileOrCreate", S_IFREG, true},
                               Kind{"Socket", S_IFSOCK, false},    Kind{"CharDevice", S_IFCHR, false},
                               Kind{"BlockDevice", S_IFBLK, false}};

}  // namespace

Result<> PrepareHostPath(const std::string& path, const std::string& type) {
  if (type.empty()) return {};  // no check; a missing one is made as a directory when it is mounted
  const auto* kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.type == type; });
  if (kind == kKinds.end()) return Error::Make(ErrorCode::kInvalidArgument, "hostPath type ", type, " is unknown");
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if ((status.st_mode & S_IFMT) == kind->format) return {};
    return Error::Make(ErrorCode::kInvalidArgument, "hostPath ", path, ": is no ", type);
  }
  if (errno != ENOENT || !kind->create) {
    return Error::Errno("hostPath ", path).WithCode(ErrorCode::kInvalidArgument);
  }
  if (kind->format == S_IFDIR) {
    RETURN_IF_ERROR(MakeDirectories(AT_FDCWD, path));
    return {};
  }
  RETURN_IF_ERROR(OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644), "hostPath");
  return {};
}

}  // namespace fermata::sandbox::pods
