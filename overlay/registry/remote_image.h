// The RemoteImage that RegistryClient gives out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "overlay/registry/endpoint.h"
#include "overlay/registry/manifest_fetch.h"
#include "overlay/registry/registry_client.h"

namespace fermata::overlay {

struct ImagePlace {
  std::vector<std::shared_ptr<Endpoint>> endpoints;  // the one that knew the image first
  std::string text;                                  // "registry docker.io: library/busybox"
  RegistryOptions options;
};

std::shared_ptr<RemoteImage> MakeRemoteImage(ImagePlace place, RemoteDocument target,
                                             std::shared_ptr<const Cancellation> cancellation);

}  // namespace fermata::overlay
