// The images of a pod's containers, by kubelet's pull policies. Keeps no state; any thread, which waits for registries.
#pragma once

#include <memory>

#include "overlay/cancellation.h"
#include "runtime/base/result.h"
#include "sandbox/engine.h"
#include "sandbox/pods/manifest.h"
#include "sandbox/pods/pod_events.h"

namespace fermata::sandbox::pods {

// Gets kubelet's events of images: Pulling, Pulled.
using ToldOfImage = std::function<void(EventText)>;

// What is wanted for a container, or for a volume (then without its name).
struct ImageWish {
  std::string image;
  PullPolicy policy = PullPolicy::kDefault;
  std::string container;
};

// Pulls the image where its policy wants that. kNotFound: Never, and it is not there; else errors of
// ImagePuller::Pull. `auths`: credentials of the pod, in docker's form; the first that knows the registry counts before
// the daemon's own.
Result<> EnsureImage(Engine& engine, const ImageWish& wish, const std::vector<std::string>& auths,
                     const std::shared_ptr<const overlay::Cancellation>& cancellation, const ToldOfImage& told);
// The same for all containers and volumes of a pod.
Result<> EnsureImages(Engine& engine, const PodManifest& pod,
                      const std::shared_ptr<const overlay::Cancellation>& cancellation, const ToldOfImage& told);

}  // namespace fermata::sandbox::pods
