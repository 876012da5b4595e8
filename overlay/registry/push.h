// Pushing: blobs that the registry lacks, then the documents that name them, so that it never has a name for less than
// the whole.
#pragma once

#include <string>

#include "overlay/image/blob_provider.h"
#include "overlay/registry/endpoint.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct PushJob {
  Endpoint& endpoint;
  const BlobProvider& blobs;
  const RegistryOptions& options;
  Stops stops;
};

// `name` is the tag or digest to store it under. An index brings its manifests along.
Result<> PushManifest(const PushJob& job, const std::string& name, const std::string& text,
                      const std::string& media_type);

}  // namespace fermata::overlay
