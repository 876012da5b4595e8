// OCI mount options, taken apart. Pure; any thread.
// Source: runtime-spec config.md "Mounts", mount_setattr(2), mount(8).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::runtime {

struct MountOptions {
  uint64_t attributes = 0;       // MOUNT_ATTR_*, of this mount alone
  uint64_t recursive_set = 0;    // MOUNT_ATTR_*, of this mount and all below it: rro, rnosuid, ...
  uint64_t recursive_clear = 0;  // rrw, rsuid, ...
  uint64_t propagation = 0;      // MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or 0
  bool recursive_bind = false;
  bool idmap = false;                                     // "idmap", "ridmap"
  bool recursive_idmap = false;                           // "ridmap"
  bool copy_up = false;                                   // "tmpcopyup": a tmpfs begins with what it covers
  std::vector<std::pair<std::string, std::string>> data;  // for the file system; an empty value is a flag
};

// What is not known goes to the file system, as `data`. kInvalidArgument for what cannot be an option.
Result<MountOptions> ParseMountOptions(const std::vector<std::string>& options);

// All that are not the file system's own.
std::vector<std::string> MountOptionNames();

}  // namespace fermata::runtime
