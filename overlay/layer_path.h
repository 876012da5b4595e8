// Names in a layer: cleaning those of tar entries, and making directories that a layer leaves out.
// Keeps no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::overlay {

// "./a//b/" and "/a/b" become "a/b"; the layer's root becomes "". kInvalidArgument for "..", and for names
// longer than the kernel takes (component 255, whole 4,095 bytes, 1,024 levels).
Result<std::string> CleanLayerPath(std::string_view name);

// Makes what is missing of the cleaned `path` (mode 0755), resolving links inside of `root`; how many.
Result<uint64_t> MakeLayerDirectories(int root, const std::string& path);

}  // namespace fermata::overlay
