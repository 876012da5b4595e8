// `docker save` (image-spec of Moby 1.2): manifest.json lists configurations, names, and layers by their paths in the
// archive: <id>/layer.tar, <hex>.tar or blobs/sha256/<hex>. A path may be a link to a layer of another image.
#include "overlay/digest.h"
#include "overlay/image/config.h"
#include "overlay/image/made_up_image.h"
#include "overlay/layer_path.h"

namespace fermata::overlay {
namespace {

Error Invalid(std::string_view reason) { return Error::Make(ErrorCode::kInvalidArgument, "manifest.json: ", reason); }

Result<> AddImage(const ArchiveFiles& files, const DockerImage& image, MadeUpImages& images) {
  ASSIGN_OR_RETURN(const std::string config_path, CleanLayerPath(image.config));
  ASSIGN_OR_RETURN(const std::string config_json, files.ReadDocument(config_path));
  ASSIGN_OR_RETURN(const ImageConfig config, ParseImageConfig(config_json), image.config);
  if (config.diff_ids.size() != image.layers.size()) {
    return Invalid(image.config + " has " + std::to_string(config.diff_ids.size()) + " diff ids for " +
                   std::to_string(image.layers.size()) + " layers");
  }
  Json layers = Json::array();
  for (size_t i = 0; i < image.layers.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string path, CleanLayerPath(image.layers[i]));
    ASSIGN_OR_RETURN(const ArchiveRange range, files.Find(path));
    ASSIGN_OR_RETURN(const Json layer, images.AddLayer(range, config.diff_ids[i]), path);
    layers.push_back(layer);
  }
  images.Add(config_json, layers, image.names);
  return {};
}

}  // namespace

Result<MadeUpImages> ReadDockerArchive(const ArchiveFiles& files) {
  ASSIGN_OR_RETURN(const std::string text, files.ReadDocument("manifest.json"));
  ASSIGN_OR_RETURN(const std::vector<DockerImage> list, ParseDockerManifest(text));
  if (list.empty()) return Invalid("no images in it");
  MadeUpImages images;
  for (const DockerImage& image : list) RETURN_IF_ERROR(AddImage(files, image, images));
  return images;
}

}  // namespace fermata::overlay
