#include "sandbox/layer_usage.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "overlay/image/image_store.h"

namespace fermata::sandbox {

stats::WritableLayers::Measure LayerMeasure(const overlay::ImageStore& images, const std::string& data_dir) {
  return [&images, data_dir](const std::string& id, const std::function<bool()>& stop) -> Result<stats::LayerUsage> {
    ASSIGN_OR_RETURN(const overlay::TreeUsage tree, images.SnapshotUsage(id, stop));
    stats::LayerUsage usage{.bytes = tree.bytes, .inodes = tree.inodes};
    struct stat status {};
    if (::stat(data_dir.c_str(), &status) != 0) return Error::Errno("stat ", data_dir);
    usage.device = stats::DeviceName(major(status.st_dev), minor(status.st_dev));
    struct statvfs filesystem {};
    if (::statvfs(data_dir.c_str(), &filesystem) != 0) return Error::Errno("statvfs ", data_dir);
    usage.limit_bytes = uint64_t{filesystem.f_blocks} * filesystem.f_frsize;
    usage.inodes_total = filesystem.f_files;
    usage.inodes_free = filesystem.f_ffree;
    return usage;
  };
}

}  // namespace fermata::sandbox
