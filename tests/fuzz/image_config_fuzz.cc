// The JSON documents of an image. One text is never an index and a manifest too, digests are digests, and the numbers
// of entries and layers stay within their limits.
#include "overlay/digest.h"
#include "overlay/image/config.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::overlay {
namespace {

using fuzz::Check;

void CheckDescriptor(const Descriptor& descriptor) {
  Check(IsDigest(descriptor.digest), "a digest that is none: " + descriptor.digest);
  Check(descriptor.size_bytes <= uint64_t{1} << 50, "a size beyond the limit");
}

bool CheckIndex(std::string_view text) {
  const auto index = ParseIndex(text);
  if (!index) {
    fuzz::CheckError(index.error());
    return false;
  }
  Check(index->size() <= 1024, "too many entries");
  for (const Descriptor& entry : *index) {
    CheckDescriptor(entry);
    Check(entry.kind == MediaKind::kIndex || entry.kind == MediaKind::kManifest, "an entry of another kind");
  }
  return true;
}

bool CheckManifest(std::string_view text) {
  const auto manifest = ParseManifest(text);
  if (!manifest) {
    fuzz::CheckError(manifest.error());
    return false;
  }
  Check(!manifest->layers.empty() && manifest->layers.size() <= kMaxLayers, "number of layers");
  Check(manifest->config.kind == MediaKind::kConfig, "a config of another kind");
  CheckDescriptor(manifest->config);
  for (const Descriptor& layer : manifest->layers) {
    CheckDescriptor(layer);
    Check(layer.kind == MediaKind::kLayer, "a layer of another kind");
  }
  return true;
}

void CheckConfig(std::string_view text) {
  const auto config = ParseImageConfig(text);
  if (!config) return fuzz::CheckError(config.error());
  Check(config->diff_ids.size() <= kMaxLayers, "number of diff ids");
  for (const std::string& diff_id : config->diff_ids) Check(IsDigest(diff_id), "a diff id that is none: " + diff_id);
}

}  // namespace
}  // namespace fermata::overlay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  const std::string_view text = fuzz::TextOf(data, size);
  const bool is_index = overlay::CheckIndex(text);
  const bool is_manifest = overlay::CheckManifest(text);
  fuzz::Check(!is_index || !is_manifest, "index and manifest at once");
  overlay::CheckConfig(text);
  if (const auto version = overlay::CheckLayoutVersion(text); !version) fuzz::CheckError(version.error());
  return 0;
}
