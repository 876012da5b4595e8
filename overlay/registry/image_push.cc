#include "overlay/registry/image_push.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <utility>

#include "overlay/deflate.h"
#include "overlay/image/image_export.h"
#include "overlay/image/reference.h"
#include "runtime/base/file.h"
#include "runtime/base/json.h"

namespace fermata::overlay {
namespace {

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar+gzip";

// The configuration and, once they are made, the layers.
class PushedBlobs : public BlobProvider {
 public:
  explicit PushedBlobs(ImagePtr image) : image_(std::move(image)) {}

  [[nodiscard]] Result<std::unique_ptr<ByteSource>> Open(const Descriptor& blob) const override {
    if (blob.digest == image_->id)
      return std::unique_ptr<ByteSource>(std::make_unique<TextSource>(image_->config_json));
    const auto found = layers_.find(blob.digest);
    if (found == layers_.end()) {
      missing_ = true;
      return Error::Make(ErrorCode::kNotFound, "blob ", blob.digest, ": not kept");
    }
    const Layer& layer = found->second;
    return std::unique_ptr<ByteSource>(std::make_unique<RangeSource>(layer.file.get(), 0, layer.size));
  }
  // A layer was asked for that is not here.
  [[nodiscard]] bool missing() const { return missing_; }

  // Compresses a layer; gives its descriptor.
  Result<Json> AddLayer(ImageStore& store, const std::string& diff_id) {
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> checked, store.OpenLayerTar(diff_id));
    RETURN_IF_ERROR(CheckLayerTar(*checked, diff_id));
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> tar, store.OpenLayerTar(diff_id));
    Layer layer;
    ASSIGN_OR_RETURN(layer.file, store.TemporaryFile());
    RETURN_IF_ERROR(WriteGzip(*tar, layer.file.get()), "compress layer ", diff_id);
    struct stat status {};
    if (::fstat(layer.file.get(), &status) != 0) return Error::Errno("stat");
    layer.size = static_cast<uint64_t>(status.st_size);
    RangeSource written(layer.file.get(), 0, layer.size);
    HashedSource hashed(written);
    RETURN_IF_ERROR(hashed.Drain());
    const std::string digest = hashed.Digest();
    const uint64_t size = layer.size;
    layers_[digest] = std::move(layer);
    return Json{{"mediaType", kLayerType}, {"digest", digest}, {"size", size}};
  }

 private:
  struct Layer {
    UniqueFd file;
    uint64_t size = 0;
  };
  const ImagePtr image_;
  std::map<std::string, Layer> layers_;  // by digest of the compressed bytes
  mutable std::atomic<bool> missing_ = false;
};

std::string MediaTypeOf(const std::string& manifest) {
  const auto json = ParseJson(manifest, "manifest");
  return json && json->is_object() ? json->value("mediaType", kManifestType) : kManifestType;
}

}  // namespace

Result<std::string> PushImage(ImageStore& store, RegistryClient& registry, const std::string& reference,
                              const std::string& destination, const PushOptions& options) {
  const std::string context = "push " + reference;
  ASSIGN_OR_RETURN(const ImagePtr image, store.Get(reference), context);
  ASSIGN_OR_RETURN(const Reference name, ParseReference(destination), context);
  if (name.tag.empty() || !name.digest.empty()) {
    return Error::Make(ErrorCode::kInvalidArgument, context, ": ", destination, ": has to be a name with a tag");
  }
  ASSIGN_OR_RETURN(const std::string own, store.ReadDocument(image->manifest_digest), context);
  PushedBlobs blobs(image);
  options.observer("looking for the layers in " + name.Name());
  const Result<> pushed = registry.Push(name, own, MediaTypeOf(own), blobs, options.credentials, options.cancellation);
  if (pushed) return image->manifest_digest;
  if (!blobs.missing()) return Error(pushed.error()).Wrap(context);
  Json layers = Json::array();
  for (const std::string& diff_id : image->config.diff_ids) {
    options.observer("compressing layer " + diff_id);
    ASSIGN_OR_RETURN(Json layer, blobs.AddLayer(store, diff_id), context);
    layers.push_back(std::move(layer));
  }
  const Json manifest = {
      {"schemaVersion", 2},
      {"mediaType", kManifestType},
      {"config", {{"mediaType", kConfigType}, {"digest", image->id}, {"size", image->config_json.size()}}},
      {"layers", layers}};
  const std::string text = manifest.dump();
  options.observer("sending to " + name.Name());
  RETURN_IF_ERROR(registry.Push(name, text, kManifestType, blobs, options.credentials, options.cancellation), context);
  return DigestOf(text);
}

}  // namespace fermata::overlay
