// What archives that are no OCI image layouts lack of one. Functions keep no state.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "overlay/byte_source.h"
#include "overlay/image/archive_files.h"
#include "runtime/base/json.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

// Documents and layers by digest, and an index of the images.
class MadeUpImages {
 public:
  // Adds an image of `config` and `layers` (descriptors); `names` are put into the index as annotations.
  void Add(const std::string& config, const Json& layers, const std::vector<std::string>& names);
  // Adds a layer that lies in the archive; gives its descriptor. Of a layer that is not compressed the digest is its
  // diff id, of others it is computed.
  Result<Json> AddLayer(const ArchiveRange& range, const std::string& diff_id);

  // Nothing when there is no such blob.
  [[nodiscard]] std::unique_ptr<ByteSource> Open(const std::string& digest) const;

  std::string index_json;

 private:
  Json AddDocument(const std::string& data, const char* media_type);

  std::map<std::string, std::string> documents_;
  std::map<std::string, ArchiveRange> layers_;
  Json manifests_ = Json::array();
};

// docker_archive.cc: what `docker save` and `podman save` make. kInvalidArgument.
Result<MadeUpImages> ReadDockerArchive(const ArchiveFiles& files);
// rootfs_archive.cc: one layer, for this machine, without a configuration of processes.
Result<MadeUpImages> ReadRootFilesystem(const ArchiveFiles& files);

}  // namespace fermata::overlay
