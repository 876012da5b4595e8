// OciArchive: an OCI image layout in a tar (plain, gzip or zstd), as `skopeo copy oci-archive:` or
// `docker buildx --output type=oci` make it. A plain tar that is a regular file is read in place, anything
// else is spooled once. Owns the spool, not the caller's descriptor, which has to stay open.
// Several threads may open blobs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "overlay/image/blob_provider.h"
#include "overlay/tar_reader.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

class OciArchive : public BlobProvider {
 public:
  // Spools into a file in `scratch_dir`, if needed. kInvalidArgument: no OCI archive, damaged, cut short.
  // kUnimplemented: the older format of `docker save`.
  static Result<std::unique_ptr<OciArchive>> Open(int archive_fd, int scratch_dir);

  [[nodiscard]] Result<std::unique_ptr<ByteSource>> Open(const Descriptor& blob) const override;
  [[nodiscard]] const std::string& index_json() const { return index_json_; }

 private:
  struct Range {
    uint64_t offset = 0;
    uint64_t size = 0;
  };

  OciArchive() = default;
  Result<> ScanInPlace(int archive_fd, uint64_t size);
  Result<> Spool(int archive_fd, int scratch_dir);
  Result<> AddEntry(TarReader& tar);
  Result<Range> CopyToSpool(TarReader& tar, uint64_t size);
  Result<> CheckLayout();
  Result<std::string> ReadFile(const std::string& name) const;

  UniqueFd spool_;
  int fd_ = -1;  // spool_'s or the caller's
  uint64_t spooled_ = 0;
  uint64_t entries_ = 0;
  std::map<std::string, Range> files_;  // by cleaned path
  std::string index_json_;
};

}  // namespace fermata::overlay
