// What directory trees take on disk. Keeps no state; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/base/result.h"

namespace fermata::overlay {

struct TreeUsage {
  uint64_t bytes = 0;   // allocated blocks, not lengths
  uint64_t inodes = 0;  // a file with several names counts once
};

// Counts the tree `name` below `directory`. Follows no links and stays on the file system. Others may
// change the tree meanwhile: what vanishes is left out. Directories deeper than 256 levels are not
// entered, so that a tenant cannot take all descriptors. `stop`, if given, is asked at every entry: true ends
// the count with kDeadlineExceeded.
Result<TreeUsage> CountTree(int directory, const std::string& name, const std::function<bool()>& stop = {});

}  // namespace fermata::overlay
