// Read-only views of an image's layers as detached mounts: a descriptor to open files under, never
// attached to a mount namespace, gone when the last descriptor is closed. The only file of overlay/ with
// mount calls. Needs CAP_SYS_ADMIN. Any thread; the working directory of the process stays as it is.
#pragma once

#include <span>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

// The tree of `lower_top_first`, names of directories below the absolute `layers_dir`. One layer is a
// read-only clone of its directory, several are an overlay. Fails where a kernel without lowerdir+
// (before 6.5) is given names that together are longer than 255 bytes.
Result<UniqueFd> MountLayersReadOnly(const std::string& layers_dir, std::span<const std::string> lower_top_first);

// Whether overlayfs takes its layers one by one (lowerdir+), found by trying it with two directories that
// are made below the absolute `scratch_dir` and removed again. False also where mounting is not allowed.
bool LowerdirAppendSupported(const std::string& scratch_dir);

}  // namespace fermata::overlay
