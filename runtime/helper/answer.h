// What fermata-helper writes to its standard output. Both sides are of one build.
#pragma once

#include <cstdint>

namespace fermata::runtime {

struct PathAnswer {
  int32_t error = 0;  // errno; the rest is then nothing
  uint32_t mode = 0;  // as of stat(2), links followed
  uint64_t mount_id = 0;
};
static_assert(sizeof(PathAnswer) == 16);

}  // namespace fermata::runtime
