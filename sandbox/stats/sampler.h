// Sampler: what control groups and network namespaces have used, read now. Owns a descriptor for each group and each
// pod that it was asked for, until Forget. Thread-safe; reads of different callers run side by side, no lock is held
// meanwhile. Nothing here waits for a disk: control files and /proc are the kernel's memory.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cgroups/cgroup.h"
#include "cgroups/stats.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "sandbox/stats/clock.h"
#include "sandbox/stats/cpu_rate.h"
#include "sandbox/stats/interfaces.h"
#include "sandbox/stats/process_counts.h"

namespace fermata::sandbox::stats {

struct GroupSample {
  cgroups::Stats stats;
  std::optional<uint64_t> usage_nano_cores;  // not before the second sample
};

// A group as it is asked for: the id is what it is remembered by.
struct GroupName {
  std::string id;
  std::string path;  // below the cgroup2 mount
};

class Sampler {
 public:
  // `mount` outlives this.
  Sampler(const cgroups::Cgroup& mount, Clock clock) : mount_(mount), clock_(std::move(clock)) {}

  // All of them: kNotFound when there is no such group.
  Result<GroupSample> Sample(const GroupName& group);
  Result<cgroups::Details> Details(const GroupName& group);
  Result<cgroups::Contention> Contention(const GroupName& group);
  // Processes of the group and those below it, and what they hold open.
  Result<ProcessCounts> Processes(const GroupName& group, ProcessDetail detail);

  // Of the network namespace of a process that lives in `group`; kNotFound when it does not.
  Result<std::vector<Interface>> Interfaces(const GroupName& group, int pid);

  // Closes what is held under the id.
  void Forget(const std::string& id);
  void ForgetAll();
  [[nodiscard]] size_t held() const;  // descriptors

 private:
  struct Entry {
    cgroups::Cgroup cgroup;
    std::mutex mutex;  // guards rate
    CpuRate rate;
  };
  using EntryPtr = std::shared_ptr<Entry>;
  Result<EntryPtr> Open(const GroupName& group);
  template <typename Read>
  auto ReadGroup(const GroupName& group, Read read) -> decltype(read(std::declval<Entry&>()));

  const cgroups::Cgroup& mount_;
  const Clock clock_;
  mutable std::mutex mutex_;  // guards both maps; held for a look only
  std::map<std::string, EntryPtr> entries_;
  std::map<std::string, std::shared_ptr<const UniqueFd>> processes_;  // /proc/PID by id
};

}  // namespace fermata::sandbox::stats
