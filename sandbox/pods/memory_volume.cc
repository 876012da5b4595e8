#include "sandbox/pods/memory_volume.h"

#include <fcntl.h>
#include <sys/mount.h>

#include "runtime/base/file.h"

namespace fermata::sandbox::pods {

Result<> MountMemoryVolume(const std::string& directory, std::optional<int64_t> limit_bytes) {
  std::string options = "mode=0777";
  if (limit_bytes) options += ",size=" + std::to_string(*limit_bytes);
  if (::mount("tmpfs", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return Error::Errno("mount tmpfs on ", directory);
  }
  return {};
}

Result<> UnmountMemoryVolumes(const std::string& directory) {
  auto volumes = OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!volumes) return {};  // none was made
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(volumes->get()));
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name;
    // EINVAL: nothing is mounted there.
    if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT) {
      return Error::Errno("unmount ", path);
    }
  }
  return {};
}

}  // namespace fermata::sandbox::pods
