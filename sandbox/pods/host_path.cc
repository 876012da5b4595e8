#include "sandbox/pods/host_path.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>

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

Result<> PrepareHostPath(const runtime::PathHelper& paths, const std::string& path, const std::string& type) {
  if (type.empty()) return {};  // no check; a missing one is made as a directory when it is mounted
  const auto* kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.type == type; });
  if (kind == kKinds.end()) return Error::Make(ErrorCode::kInvalidArgument, "hostPath type ", type, " is unknown");
  ASSIGN_OR_RETURN(runtime::PathAnswer answer, paths.Stat(path), "hostPath");
  if (answer.error == ENOENT && kind->create) {
    const bool directory = kind->format == S_IFDIR;
    ASSIGN_OR_RETURN(answer, directory ? paths.MakeDirectory(path) : paths.MakeFile(path), "hostPath");
  }
  if (answer.error != 0) {
    return Error::FromErrno(answer.error, "hostPath ", path).WithCode(ErrorCode::kInvalidArgument);
  }
  if ((answer.mode & S_IFMT) == kind->format) return {};
  return Error::Make(ErrorCode::kInvalidArgument, "hostPath ", path, ": is no ", type);
}

}  // namespace fermata::sandbox::pods
