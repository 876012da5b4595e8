// Push of an image of the store to a registry. Keeps no state; any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "overlay/image/image_store.h"
#include "overlay/registry/credentials.h"
#include "overlay/registry/registry_client.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct PushOptions {
  std::optional<Credentials> credentials;
  std::shared_ptr<const Cancellation> cancellation;       // needed
  std::function<void(const std::string& step)> observer;  // for people
};

// `destination` is a name with a tag. Gives the digest of the manifest. The image's own manifest goes where the
// registry has its layers already; else the layers are compressed anew, and so have other digests, but the image the
// same id.
Result<std::string> PushImage(ImageStore& store, RegistryClient& registry, const std::string& reference,
                              const std::string& destination, const PushOptions& options);

}  // namespace fermata::overlay
