// The JSON documents of an image: index, manifest, configuration (OCI image-spec 1.1, and Docker's schema 2,
// which has the same shape). Pure; every document is foreign, so parsing is strict and bounded: 4 MiB, depth
// 64, no duplicate keys, 1,024 index entries, 127 layers. Errors are kInvalidArgument.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::overlay {

inline constexpr uint64_t kMaxDocumentBytes = uint64_t{4} << 20;
inline constexpr size_t kMaxLayers = 127;

enum class MediaKind : uint8_t { kIndex, kManifest, kConfig, kLayer };

struct Descriptor {
  MediaKind kind = MediaKind::kManifest;
  std::string digest;  // IsDigest() holds
  uint64_t size_bytes = 0;
  std::string os;            // of the platform; empty when the descriptor does not say
  std::string architecture;  // likewise
  std::map<std::string, std::string> annotations;
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // bottom first
};

struct ImageConfig {
  std::string user, working_dir, stop_signal;
  std::vector<std::string> env, entrypoint, cmd, volumes;
  std::map<std::string, std::string> labels;
  std::string architecture, os;
  std::vector<std::string> diff_ids;  // bottom first
};

// Descriptors of manifests and indexes; those of other things are left out.
Result<std::vector<Descriptor>> ParseIndex(std::string_view text);
Result<Manifest> ParseManifest(std::string_view text);
// Only that the document is of `kind` (a manifest or an index) and of nothing else. Manifests of other things than
// images, signatures say, pass too.
Result<> CheckDocumentKind(std::string_view text, MediaKind kind);
Result<ImageConfig> ParseImageConfig(std::string_view text);

// One image of a manifest.json as `docker save` writes it: paths in the archive, and names.
struct DockerImage {
  std::string config;
  std::vector<std::string> names;
  std::vector<std::string> layers;  // bottom first
};
// Up to 1,024 images.
Result<std::vector<DockerImage>> ParseDockerManifest(std::string_view text);

// kInvalidArgument unless the document begins with what oci-layout 1.0.0 says.
Result<> CheckLayoutVersion(std::string_view text);

}  // namespace fermata::overlay
