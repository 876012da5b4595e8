// From an index to the images in it that this machine can run. Reads and checks documents, no layers.
// Keeps no state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "overlay/image/blob_provider.h"
#include "overlay/image/config.h"
#include "overlay/image/reference.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

// An image that is complete but for its layers.
struct NewImage {
  std::string target_digest;  // what its names point at: the manifest, or the index of several platforms
  std::string manifest_digest;
  std::string manifest_json;
  std::string config_json;
  Manifest manifest;
  ImageConfig config;
  std::vector<std::string> tags;     // "docker.io/library/busybox:latest"
  std::vector<std::string> digests;  // "docker.io/library/busybox@sha256:..."

  [[nodiscard]] const std::string& id() const { return manifest.config.digest; }
};

// OCI's word for this machine's architecture: "amd64", "arm64".
const std::string& HostArchitecture();

// The images of `index_json` for linux on this architecture. Their names are `name`, if given (there must be
// one image then), else those of the annotations io.containerd.image.name and
// org.opencontainers.image.ref.name; of the latter a bare tag names no repository and is left out.
Result<std::vector<NewImage>> ResolveIndex(const BlobProvider& blobs, std::string_view index_json,
                                           const std::string& name);

// The image that `target` (a manifest, or an index of several platforms) is on this machine, named `name`: with its
// tag, or without one if it has a digest too, which nobody has checked to be the tag's.
Result<NewImage> ResolveTarget(const BlobProvider& blobs, const Descriptor& target, const Reference& name);

}  // namespace fermata::overlay
