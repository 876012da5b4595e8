#include "sandbox/mount_source.h"

#include "sandbox/mount_propagation.h"

namespace fermata::sandbox {

Result<> CheckMountSource(const runtime::PathHelper& paths, const ContainerMount& mount, bool privileged) {
  const std::string& path = mount.host_path;
  const auto refused = [&path](const char* why) {
    return Error::Make(ErrorCode::kInvalidArgument, "mount source ", path, ": ", why);
  };
  if (path.starts_with("/proc/") && path.find_first_not_of('/', 5) != std::string::npos && !privileged) {
    return refused("is on procfs; only a privileged container may have a part of it");
  }
  if (path == "/dev/fd" || path.starts_with("/dev/fd/") || path.starts_with("/dev/std")) {
    return refused("is a descriptor of whoever looks");
  }
  if (mount.propagation == Propagation::kBidirectional && !privileged) {
    return refused("bidirectional propagation needs a privileged container");
  }
  return CheckPropagation(paths, path, mount.propagation);
}

}  // namespace fermata::sandbox
