// A root file system as an image of one layer: the archive itself.
#include "overlay/image/made_up_image.h"
#include "overlay/image/resolve.h"

namespace fermata::overlay {

Result<MadeUpImages> ReadRootFilesystem(const ArchiveFiles& files) {
  MadeUpImages images;
  std::string diff_id = files.inflated_digest();
  if (diff_id.empty()) {
    const std::unique_ptr<ByteSource> bytes = files.whole().Open();
    HashedSource hashed(*bytes);
    RETURN_IF_ERROR(hashed.Drain());
    diff_id = hashed.Digest();
  }
  ASSIGN_OR_RETURN(const Json layer, images.AddLayer(files.whole(), diff_id));
  // No time stamp: the same file system is the same image.
  const Json config = {{"architecture", HostArchitecture()},
                       {"os", "linux"},
                       {"config", Json::object()},
                       {"rootfs", {{"type", "layers"}, {"diff_ids", {diff_id}}}}};
  images.Add(config.dump(), Json::array({layer}), {});
  return images;
}

}  // namespace fermata::overlay
