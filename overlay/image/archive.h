// ImageArchive: an image in a tar, plain, gzip or zstd, in one of these forms:
//
//   OCI image layout       `skopeo copy oci-archive:`, `docker buildx --output type=oci`, newer `docker save`
//   docker save            manifest.json and layers, with directories by id or with blobs/sha256
//   root file system       the files themselves, as `docker export` and debootstrap make them; needs a name
//
// What the last two lack of an OCI image (index, manifest, configuration) is made up here, the same for the same input.
// Does not own the caller's descriptor, which has to stay open. Several threads may open blobs.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "overlay/image/archive_files.h"
#include "overlay/image/blob_provider.h"
#include "overlay/image/made_up_image.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

class ImageArchive : public BlobProvider {
 public:
  // Spools into files in `scratch_dir`, if needed. `name` is the one that was given, or empty. kInvalidArgument says
  // what was found and what would be needed.
  static Result<std::unique_ptr<ImageArchive>> Open(int archive_fd, int scratch_dir, const std::string& name);

  [[nodiscard]] Result<std::unique_ptr<ByteSource>> Open(const Descriptor& blob) const override;
  [[nodiscard]] const std::string& index_json() const { return made_up_.index_json; }

 private:
  ImageArchive() = default;
  Result<> Recognise(const std::string& name);

  std::unique_ptr<ArchiveFiles> files_;
  MadeUpImages made_up_;  // of an OCI layout only the index, which is not made up
};

}  // namespace fermata::overlay
