// ImageRecords: images.db, what survives a restart (SQLite, synchronous=FULL). Owns the connection; one
// thread at a time. Configurations and manifests are files (blobs/sha256/<hex>), named by digest.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "overlay/image/image.h"
#include "overlay/layer_store.h"
#include "runtime/base/result.h"
#include "runtime/base/sqlite.h"

namespace fermata::overlay {

struct ImageRecord {
  std::string id, manifest_digest;
  uint64_t size_bytes = 0;
  int64_t created_at_ns = 0;
  std::vector<std::string> repo_tags, repo_digests;
  std::vector<std::string> diff_ids;  // bottom first, as the configuration has them
};

class ImageRecords {
 public:
  static Result<ImageRecords> Open(const std::string& path);

  // Rows that make no sense are left out and described in `problems`.
  Result<std::vector<LayerRecord>> Layers(std::vector<std::string>& problems);
  Result<std::vector<ImageRecord>> Images();

  // All or nothing. Images replace those of the same id; names move to them.
  Result<> Commit(std::span<const LayerRecord> layers, std::span<const ImageRecord> images);
  Result<> RemoveName(const std::string& name);
  // Either may be empty; what is not there is no error.
  Result<> Remove(const std::string& image_id, std::span<const LayerRecord> layers);

 private:
  explicit ImageRecords(Database database) : database_(std::move(database)) {}
  Result<> PutImage(const ImageRecord& image);
  Result<> PutLayer(const LayerRecord& layer);

  Database database_;
};

}  // namespace fermata::overlay
