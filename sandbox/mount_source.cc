#include "sandbox/mount_source.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "runtime/base/file.h"
#include "sandbox/mount_propagation.h"

namespace fermata::sandbox {
namespace {

// The source, or the nearest directory above it that is there. No magic link on the way.
Result<UniqueFd> OpenSource(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd root, OpenAt(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
  std::string there = path;
  for (;;) {
    auto source = OpenInRoot(root.get(), there, O_PATH);
    if (source || source.error().saved_errno() != ENOENT || there.size() <= 1) return source;
    there.resize(std::max<size_t>(there.rfind('/'), 1));
  }
}

}  // namespace

Result<> CheckMountSource(const ContainerMount& mount, bool privileged) {
  auto source = OpenSource(mount.host_path);
  if (!source) {
    return std::move(source).error().Wrap("mount source ", mount.host_path).WithCode(ErrorCode::kInvalidArgument);
  }
  struct statfs filesystem {};
  if (::fstatfs(source->get(), &filesystem) != 0) return Error::Errno("statfs ", mount.host_path);
  if (filesystem.f_type == PROC_SUPER_MAGIC && !privileged) {
    return Error::Make(ErrorCode::kInvalidArgument, "mount source ", mount.host_path,
                       ": is on procfs; only a privileged container may have it");
  }
  if (mount.propagation == Propagation::kBidirectional && !privileged) {
    return Error::Make(ErrorCode::kInvalidArgument, "mount source ", mount.host_path,
                       ": bidirectional propagation needs a privileged container");
  }
  return CheckPropagation(mount.host_path, mount.propagation);
}

}  // namespace fermata::sandbox
