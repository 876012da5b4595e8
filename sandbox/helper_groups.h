// HelperGroups: the control groups of helper processes, <instance>/helpers/<name>. A helper is born in its group and
// dies with it. Does not own the groups on disk: Sweep, at start, ends what a daemon that died left. Thread-safe; must
// not outlive the cgroup mount it was made with.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "cgroups/cgroup.h"
#include "overlay/unpack_process.h"
#include "runtime/base/result.h"

namespace fermata::sandbox {

class HelperGroups {
 public:
  HelperGroups(const cgroups::Cgroup& mount, const std::string& cgroup_root)
      : mount_(mount), parent_(cgroup_root + "/helpers") {}

  // Ends and removes all; before the first Make.
  [[nodiscard]] Result<> Sweep() const;
  // A new group with at most `max_tasks` tasks, where the machine can limit that. `kind` is part of its name.
  [[nodiscard]] Result<std::unique_ptr<overlay::HelperGroup>> Make(const char* kind = "unpack", int max_tasks = 16);

 private:
  const cgroups::Cgroup& mount_;
  const std::string parent_;
  std::atomic<uint64_t> serial_ = 0;
};

}  // namespace fermata::sandbox
