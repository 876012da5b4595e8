// Manifests and indexes as a registry gives them: fetched, and checked before anybody sees them.
#pragma once

#include <string>
#include <string_view>

#include "overlay/image/config.h"
#include "overlay/registry/endpoint.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct RemoteDocument {
  Descriptor descriptor;
  std::string media_type;
  std::string text;
};

// What `text` is, by its Content-Type and its own words, which must not differ (threats.md I-01). `digest` is what it
// must have, or empty. Pure; kInvalidArgument.
Result<RemoteDocument> CheckManifest(std::string text, std::string_view content_type, std::string_view digest);

// `name` is a tag or a digest.
Result<RemoteDocument> FetchManifest(Endpoint& endpoint, const std::string& name, const Stops& stops, unsigned retries);

// The value of Accept for manifests and indexes of every form that we read.
std::string ManifestAccept();

}  // namespace fermata::overlay
