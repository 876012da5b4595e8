// Look-ups that the parts of the pod engine share.
#pragma once

#include <string>

#include "sandbox/pods/pod_status.h"
#include "sandbox/store.h"

namespace fermata::sandbox::pods {

// The newest instance of a container; nullptr: none.
ContainerPtr Newest(const Store& store, const SandboxId& id, const std::string& name);
// The instance before `newest`; nullptr: none.
ContainerPtr Previous(const Store& store, const ContainerRecord& newest);
// nullptr: none of that name.
const PodContainer* FindContainer(const PodManifest& manifest, const std::string& name);
// `container` is one of the manifest's own.
ContainerKind KindOf(const PodManifest& manifest, const PodContainer& container);

}  // namespace fermata::sandbox::pods
