// The volumes of a pod on the host: in its own directory, below the data directory for claims, or where a hostPath
// says. Does not own them: those of the pod go with RemovePodDirectory, claims stay. Keeps no state; any thread.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "sandbox/engine.h"
#include "sandbox/pods/manifest.h"
#include "sandbox/pods/manifest_values.h"

namespace fermata::sandbox::pods {

struct PodPlace {
  const Engine& engine;
  const PodManifest& manifest;
  std::string directory;  // the pod's own
};

// kNotFound: a claim that the file does not have, and nobody made before.
Result<> CheckClaims(const Engine& engine, const PodManifest& manifest);
// Makes what is missing. kInvalidArgument for a hostPath that is not what it has to be.
Result<> PrepareVolumes(const PodPlace& place, const PodFacts& facts);
// Of a container, with its variables for subPathExpr. The volumes are there.
Result<std::vector<ContainerMount>> MountsOf(const PodPlace& place, const PodContainer& container,
                                             const std::vector<std::string>& variables);
// The pod's directory with its volumes; succeeds if nothing is there. The path of its parent, and its name.
Result<> RemovePodDirectory(const std::string& parent, const std::string& uid);

}  // namespace fermata::sandbox::pods
