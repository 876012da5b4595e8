#include "overlay/image/config.h"

#include <optional>
#include <set>

#include "overlay/digest.h"
#include "runtime/base/json.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxIndexEntries = 1024;

struct MediaType {
  std::string_view name;
  MediaKind kind;
};
constexpr MediaType kMediaTypes[] = {
    {"application/vnd.oci.image.index.v1+json", MediaKind::kIndex},
    {"application/vnd.docker.distribution.manifest.list.v2+json", MediaKind::kIndex},
    {"application/vnd.oci.image.manifest.v1+json", MediaKind::kManifest},
    {"application/vnd.docker.distribution.manifest.v2+json", MediaKind::kManifest},
    {"application/vnd.oci.image.config.v1+json", MediaKind::kConfig},
    {"application/vnd.docker.container.image.v1+json", MediaKind::kConfig},
    {"application/vnd.oci.image.layer.v1.tar", MediaKind::kLayer},
    {"application/vnd.oci.image.layer.v1.tar+gzip", MediaKind::kLayer},
    {"application/vnd.oci.image.layer.v1.tar+zstd", MediaKind::kLayer},
    {"application/vnd.docker.image.rootfs.diff.tar", MediaKind::kLayer},
    {"application/vnd.docker.image.rootfs.diff.tar.gzip", MediaKind::kLayer},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd", MediaKind::kLayer},
};

std::optional<MediaKind> KindOf(std::string_view media_type) {
  for (const MediaType& known : kMediaTypes) {
    if (known.name == media_type) return known.kind;
  }
  return std::nullopt;
}

Error Invalid(std::string_view what, std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, what, ": ", reason);
}

// Of two equal keys each JSON library takes another one; such a document means two things at once.
class DuplicateKeys : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
  bool string(string_t& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool start_object(size_t /*elements*/) override {
    keys_.emplace_back();
    return true;
  }
  bool end_object() override {
    keys_.pop_back();
    return true;
  }
  bool key(string_t& name) override { return keys_.back().insert(name).second; }
  bool start_array(size_t /*elements*/) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t /*position*/, const std::string& /*token*/, const Json::exception& /*failure*/) override {
    return false;
  }

 private:
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
};

Result<Json> ParseDocument(std::string_view text, std::string_view what) {
  if (text.size() > kMaxDocumentBytes) return Invalid(what, "larger than 4 MiB");
  ASSIGN_OR_RETURN(Json document, ParseJson(text, what));
  DuplicateKeys duplicates;
  if (!Json::sax_parse(text, &duplicates)) return Invalid(what, "a key appears twice");
  return document;
}

// Go writes null for empty strings, lists and maps alike. These throw Json::exception for other types.
template <typename T>
T Optional(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? T{} : found->template get<T>();
}

Result<Descriptor> ReadDescriptor(const Json& json, std::string_view what) {
  const auto media_type = json.at("mediaType").get<std::string>();
  const auto kind = KindOf(media_type);
  if (!kind) return Invalid(what, "unknown media type " + media_type.substr(0, 128));
  Descriptor descriptor;
  descriptor.kind = *kind;
  descriptor.digest = json.at("digest").get<std::string>();
  if (!IsDigest(descriptor.digest)) return Invalid(what, "a digest is not sha256 in hex");
  const Json& size = json.at("size");
  if (!size.is_number_unsigned()) return Invalid(what, "a size is not a positive whole number");
  descriptor.size_bytes = size.get<uint64_t>();
  if (descriptor.size_bytes > uint64_t{1} << 50) return Invalid(what, "a size is beyond all reason");
  descriptor.annotations = Optional<std::map<std::string, std::string>>(json, "annotations");
  if (const auto platform = json.find("platform"); platform != json.end() && !platform->is_null()) {
    descriptor.os = Optional<std::string>(*platform, "os");
    descriptor.architecture = Optional<std::string>(*platform, "architecture");
  }
  return descriptor;
}

// The document itself decides what it is (GHSA-xmmx-7jpf-fx42): its media type may be left out but not lie.
Result<> CheckKind(const Json& document, MediaKind kind, std::string_view what) {
  const auto version = document.find("schemaVersion");
  if (version == document.end() || !version->is_number_unsigned() || *version != 2U)
    return Invalid(what, "the schema version is not 2");
  const auto media_type = Optional<std::string>(document, "mediaType");
  if (!media_type.empty() && KindOf(media_type) != kind) return Invalid(what, "is of media type " + media_type);
  const bool has_layers = document.contains("config") || document.contains("layers");
  if (document.contains("manifests") && has_layers) return Invalid(what, "is manifest and index at once");
  return {};
}

template <typename T, typename Read>
Result<T> ReadDocument(std::string_view text, std::string_view what, const Read& read) {
  ASSIGN_OR_RETURN(const Json document, ParseDocument(text, what));
  if (!document.is_object()) return Invalid(what, "not a JSON object");
  auto parsed = ReadJson(what, [&]() -> Result<T> { return read(document); });
  if (!parsed) return std::move(parsed).error();
  return std::move(parsed).value();
}

Result<std::vector<Descriptor>> ReadIndex(const Json& document) {
  RETURN_IF_ERROR(CheckKind(document, MediaKind::kIndex, "index"));
  const Json& manifests = document.at("manifests");
  if (!manifests.is_array()) return Invalid("index", "manifests is not a list");
  if (manifests.size() > kMaxIndexEntries) return Invalid("index", "more than 1024 entries");
  std::vector<Descriptor> descriptors;
  for (const Json& entry : manifests) {
    const auto kind = KindOf(entry.at("mediaType").get<std::string>());
    if (kind != MediaKind::kIndex && kind != MediaKind::kManifest) continue;
    ASSIGN_OR_RETURN(descriptors.emplace_back(), ReadDescriptor(entry, "index"));
  }
  return descriptors;
}

Result<Manifest> ReadManifest(const Json& document) {
  RETURN_IF_ERROR(CheckKind(document, MediaKind::kManifest, "manifest"));
  Manifest manifest;
  ASSIGN_OR_RETURN(manifest.config, ReadDescriptor(document.at("config"), "manifest: config"));
  if (manifest.config.kind != MediaKind::kConfig) return Invalid("manifest", "the config is not of a config type");
  const Json& layers = document.at("layers");
  if (!layers.is_array() || layers.empty()) return Invalid("manifest", "no layers");
  if (layers.size() > kMaxLayers) {
    return Invalid("manifest", std::to_string(layers.size()) + " layers, the limit is " + std::to_string(kMaxLayers));
  }
  for (const Json& layer : layers) {
    ASSIGN_OR_RETURN(manifest.layers.emplace_back(), ReadDescriptor(layer, "manifest: layer"));
    if (manifest.layers.back().kind != MediaKind::kLayer) return Invalid("manifest", "a layer is not of a layer type");
  }
  return manifest;
}

Result<ImageConfig> ReadConfig(const Json& document) {
  using Strings = std::vector<std::string>;
  ImageConfig config;
  config.architecture = document.at("architecture").get<std::string>();
  config.os = document.at("os").get<std::string>();
  const Json& rootfs = document.at("rootfs");
  if (rootfs.at("type").get<std::string>() != "layers") return Invalid("image config", "rootfs is not of type layers");
  config.diff_ids = rootfs.at("diff_ids").get<Strings>();
  if (config.diff_ids.size() > kMaxLayers) return Invalid("image config", "too many diff ids");
  for (const std::string& diff_id : config.diff_ids) {
    if (!IsDigest(diff_id)) return Invalid("image config", "a diff id is not sha256 in hex");
  }
  const Json run = Optional<Json>(document, "config");
  if (run.is_null()) return config;
  if (!run.is_object()) return Invalid("image config", "config is not an object");
  config.user = Optional<std::string>(run, "User");
  config.working_dir = Optional<std::string>(run, "WorkingDir");
  config.stop_signal = Optional<std::string>(run, "StopSignal");
  config.env = Optional<Strings>(run, "Env");
  config.entrypoint = Optional<Strings>(run, "Entrypoint");
  config.cmd = Optional<Strings>(run, "Cmd");
  config.labels = Optional<std::map<std::string, std::string>>(run, "Labels");
  for (const auto& [path, unused] : Optional<std::map<std::string, Json>>(run, "Volumes"))
    config.volumes.push_back(path);
  return config;
}

Result<std::vector<DockerImage>> ReadDockerManifest(const Json& document) {
  using Strings = std::vector<std::string>;
  if (!document.is_array()) return Invalid("manifest.json", "not a list");
  if (document.size() > kMaxIndexEntries) return Invalid("manifest.json", "more than 1024 images");
  std::vector<DockerImage> images;
  for (const Json& entry : document) {
    DockerImage& image = images.emplace_back();
    image.config = entry.at("Config").get<std::string>();
    image.names = Optional<Strings>(entry, "RepoTags");
    image.layers = entry.at("Layers").get<Strings>();
    if (image.layers.size() > kMaxLayers || image.names.size() > kMaxIndexEntries) {
      return Invalid("manifest.json", "too many layers or names of an image");
    }
  }
  return images;
}

}  // namespace

Result<> CheckDocumentKind(std::string_view text, MediaKind kind) {
  const std::string_view what = kind == MediaKind::kIndex ? "index" : "manifest";
  ASSIGN_OR_RETURN(const Json document, ParseDocument(text, what));
  if (!document.is_object()) return Invalid(what, "not a JSON object");
  const auto checked = ReadJson(what, [&]() -> Result<> { return CheckKind(document, kind, what); });
  if (!checked) return checked.error();
  RETURN_IF_ERROR(*checked);
  if (!document.contains(kind == MediaKind::kIndex ? "manifests" : "layers")) return Invalid(what, "lists nothing");
  return {};
}

Result<std::vector<Descriptor>> ParseIndex(std::string_view text) {
  return ReadDocument<std::vector<Descriptor>>(text, "index", ReadIndex);
}

Result<Manifest> ParseManifest(std::string_view text) { return ReadDocument<Manifest>(text, "manifest", ReadManifest); }

Result<ImageConfig> ParseImageConfig(std::string_view text) {
  return ReadDocument<ImageConfig>(text, "image config", ReadConfig);
}

Result<std::vector<DockerImage>> ParseDockerManifest(std::string_view text) {
  ASSIGN_OR_RETURN(const Json document, ParseDocument(text, "manifest.json"));
  auto parsed =
      ReadJson("manifest.json", [&]() -> Result<std::vector<DockerImage>> { return ReadDockerManifest(document); });
  if (!parsed) return std::move(parsed).error();
  return std::move(parsed).value();
}

Result<> CheckLayoutVersion(std::string_view text) {
  ASSIGN_OR_RETURN(const std::string version, ReadDocument<std::string>(text, "oci-layout", [](const Json& document) {
                     return document.at("imageLayoutVersion").get<std::string>();
                   }));
  if (version != "1.0.0") return Invalid("oci-layout", "version is not 1.0.0");
  return {};
}

}  // namespace fermata::overlay
