// Names in a layer: cleaning those of tar entries, and making directories that a layer leaves out.
// Keeps no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

// "./a//b/" and "/a/b" become "a/b"; the layer's root becomes "". kInvalidArgument for "..", and for names
// over the limits (component 255 bytes, whole 4,095 bytes, 1,024 levels).
Result<std::string> CleanLayerPath(std::string_view name);

// Opens the directory at the cleaned `path`, resolving links inside of `root`; as of openat2(2), and kInvalidArgument
// when links lead deeper than 1,023 levels: what is made in it is a level deeper.
Result<UniqueFd> OpenLayerDirectory(int root, const std::string& path);

struct LayerDirectories {
  uint64_t count = 0;  // made
  UniqueFd last;       // the directory at the whole path
};

// Makes what is missing of the cleaned `path` (mode 0755), within the same limits.
Result<LayerDirectories> MakeLayerDirectories(int root, const std::string& path);

}  // namespace fermata::overlay
