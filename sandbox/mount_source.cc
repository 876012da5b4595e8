#include "sandbox/mount_source.h"

#include <fcntl.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "sandbox/mount_propagation.h"

namespace fermata::sandbox {
namespace {

constexpr const char* kVolumeFailed = "ImageVolumeMountFailed";

}  // namespace

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

Result<> CheckMountSources(const runtime::PathHelper& paths, const ContainerSpec& spec) {
  for (const ContainerMount& mount : spec.mounts) {
    if (mount.image.empty()) RETURN_IF_ERROR(CheckMountSource(paths, mount, spec.security.privileged));
  }
  return {};
}

Result<std::vector<overlay::ImagePtr>> FindVolumeImages(overlay::ImageStore& images,
                                                        std::vector<ContainerMount>& mounts) {
  std::vector<overlay::ImagePtr> found;
  for (ContainerMount& mount : mounts) {
    if (mount.image.empty()) continue;
    ASSIGN_OR_RETURN(overlay::ImagePtr image, images.Get(mount.image), kVolumeFailed);
    if (!mount.image_sub_path.empty()) {
      ASSIGN_OR_RETURN(const UniqueFd root, images.OpenRoot(*image), kVolumeFailed);
      if (auto part = OpenWithin(root.get(), mount.image_sub_path, O_PATH); !part) {
        const bool leaves = part.error().saved_errno() == EXDEV;
        return Error::Make(ErrorCode::kInvalidArgument, kVolumeFailed, ": image ", mount.image, ": sub path ",
                           mount.image_sub_path, ": ", leaves ? "leads out of the image" : part.error().message());
      }
    }
    mount.image_id = image->id;
    found.push_back(std::move(image));
  }
  return found;
}

}  // namespace fermata::sandbox
