// The images of a pod's containers, by kubelet's pull policies. Keeps no state; any thread, which waits for registries.
#pragma once

#include <memory>

#include "overlay/cancellation.h"
#include "runtime/base/result.h"
#include "sandbox/engine.h"
#include "sandbox/pods/manifest.h"

namespace fermata::sandbox::pods {

// Pulls the image `name` where `policy` wants that. kNotFound: Never, and it is not there; else errors of
// ImagePuller::Pull. `auths`: credentials of the pod, in docker's form; the first that knows the registry counts before
// the daemon's own.
Result<> EnsureImage(Engine& engine, const std::string& name, PullPolicy policy, const std::vector<std::string>& auths,
                     const std::shared_ptr<const overlay::Cancellation>& cancellation);
// The same for all containers and volumes of a pod.
Result<> EnsureImages(Engine& engine, const PodManifest& pod,
                      const std::shared_ptr<const overlay::Cancellation>& cancellation);

}  // namespace fermata::sandbox::pods
