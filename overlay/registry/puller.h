// ImagePuller: an image of a registry comes into the store: policy, documents, signatures, layers, record. Thread-safe;
// uses, and does not own, the store and the client.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "overlay/image/image_store.h"
#include "overlay/registry/credentials.h"
#include "overlay/registry/policy.h"
#include "overlay/registry/registry_client.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct PullOptions {
  std::optional<Credentials> credentials;
  std::shared_ptr<const Cancellation> cancellation;  // needed
  LayerObserver observer;
};

class ImagePuller {
 public:
  // The policy is read at each pull, from the first of `policy_paths` that exists.
  ImagePuller(ImageStore& store, RegistryClient& registry, std::vector<std::string> policy_paths)
      : store_(store), registry_(registry), policy_paths_(std::move(policy_paths)) {}

  // Also when it is there: the registry is asked what the name means now, and whether the caller may have it. Texts
  // begin with RegistryUnavailable where no registry could be asked and with SignatureValidationFailed where the policy
  // is against it, which kubelet looks for.
  Result<ImagePtr> Pull(const std::string& name, const PullOptions& options);

  // Fetches anew the layers that are damaged, from the repositories that the image was pulled from. Errors as Pull has
  // them; kFailedPrecondition: it was never pulled, or a container uses the layer.
  Result<> Repair(const DamagedLayer& layer, const PullOptions& options);

 private:
  Result<ImagePtr> PullByPolicy(const Reference& reference, const PullOptions& options);
  Result<> CheckPolicy(const std::vector<Requirement>& requirements, const Reference& reference, const NewImage& image,
                       const PullOptions& options);
  Result<std::vector<ImageSignature>> FetchSignatures(const Reference& reference, const std::string& digest,
                                                      const PullOptions& options);

  ImageStore& store_;
  RegistryClient& registry_;
  const std::vector<std::string> policy_paths_;
};

}  // namespace fermata::overlay
