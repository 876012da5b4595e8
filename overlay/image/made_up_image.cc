#include "overlay/image/made_up_image.h"

#include <algorithm>

#include "overlay/digest.h"
#include "overlay/inflate.h"

namespace fermata::overlay {
namespace {

constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";

}  // namespace

Json MadeUpImages::AddDocument(const std::string& data, const char* media_type) {
  const std::string digest = DigestOf(data);
  documents_[digest] = data;
  return {{"mediaType", media_type}, {"digest", digest}, {"size", data.size()}};
}

void MadeUpImages::Add(const std::string& config, const Json& layers, const std::vector<std::string>& names) {
  const Json manifest = {{"schemaVersion", 2},
                         {"mediaType", kManifestType},
                         {"config", AddDocument(config, kConfigType)},
                         {"layers", layers}};
  const Json descriptor = AddDocument(manifest.dump(), kManifestType);
  if (names.empty()) manifests_.push_back(descriptor);
  for (const std::string& name : names) {
    manifests_.push_back(descriptor);
    manifests_.back()["annotations"]["io.containerd.image.name"] = name;
  }
  index_json = Json({{"schemaVersion", 2}, {"manifests", manifests_}}).dump();
}

Result<Json> MadeUpImages::AddLayer(const ArchiveRange& range, const std::string& diff_id) {
  ASSIGN_OR_RETURN(const CompressionKind kind,
                   range.size == 0 ? CompressionKind::kNone : FindCompression(range.fd, range.offset));
  std::string digest = diff_id;
  if (kind != CompressionKind::kNone) {
    const std::unique_ptr<ByteSource> bytes = range.Open();
    HashedSource hashed(*bytes);
    RETURN_IF_ERROR(hashed.Drain(), "read layer");
    digest = hashed.Digest();
  }
  layers_[digest] = range;
  std::string media_type = "application/vnd.oci.image.layer.v1.tar";
  if (kind == CompressionKind::kGzip) media_type += "+gzip";
  if (kind == CompressionKind::kZstd) media_type += "+zstd";
  return Json({{"mediaType", media_type}, {"digest", digest}, {"size", range.size}});
}

std::unique_ptr<ByteSource> MadeUpImages::Open(const std::string& digest) const {
  if (const auto found = documents_.find(digest); found != documents_.end()) {
    return std::make_unique<TextSource>(found->second);
  }
  const auto found = layers_.find(digest);
  return found == layers_.end() ? nullptr : found->second.Open();
}

}  // namespace fermata::overlay
