// Whether a host path may become a volume of a container (threat table M-09 and M-10), as far as its text says so: the
// path may hang, and what it leads to may change. The container's process looks at what it really opens
// (runtime/launch/child_mounts.cc: no magic links, no part of a procfs).
#pragma once

#include <vector>

#include "overlay/image/image_store.h"
#include "runtime/base/result.h"
#include "runtime/helper/path_helper.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

// kInvalidArgument for a source below /proc unless the container is privileged, of another process's view in any case,
// and for a propagation that the container or the mount of the source does not allow.
Result<> CheckMountSource(const runtime::PathHelper& paths, const ContainerMount& mount, bool privileged);
// All of a container's that are no images.
Result<> CheckMountSources(const runtime::PathHelper& paths, const ContainerSpec& spec);

// The images that a container has as volumes, in the order of its mounts, whose `image_id` is filled in. Errors begin
// with the word that kubelet looks for (KEP-4639). kNotFound: no such image; kInvalidArgument: the part that is asked
// for is not in it, or a link leads out of it.
Result<std::vector<overlay::ImagePtr>> FindVolumeImages(overlay::ImageStore& images,
                                                        std::vector<ContainerMount>& mounts);

}  // namespace fermata::sandbox
