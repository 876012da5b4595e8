// Which images must stay: those that the configuration pins and those that containers use. Any thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "overlay/image/image.h"
#include "sandbox/engine.h"

namespace fermata::sandbox {

// By configuration. A pattern is a name in full, or its beginning with a * behind.
bool IsPinned(const std::vector<std::string>& patterns, const overlay::Image& image);

// The ids of images that containers were made from or have mounted, in whatever state those are.
std::set<std::string> ImagesInUse(const Engine& engine);

struct PruneResult {
  std::vector<overlay::ImagePtr> images;
  uint64_t freed_bytes = 0;  // of layers that no other image has
};
// Removes, or with `dry_run` only tells, images that nobody uses and that are not pinned: those without a tag, or with
// `all` every one. Also what failed pulls have left.
Result<PruneResult> PruneImages(Engine& engine, bool all, bool dry_run);

}  // namespace fermata::sandbox
