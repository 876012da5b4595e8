// ZygoteClient: the daemon's handle of the zygote (zygote.h). Owns that process: started with the first monitor,
// started anew if it has died, ended with this object.
//
// Thread-safe; forks of several threads do not wait for one another here.
#pragma once

#include <memory>
#include <mutex>

#include "runtime/base/pidfd.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::runtime {

// What every monitor of this daemon is made from: sealed memory files.
struct MonitorPrograms {
  UniqueFd monitor;
  UniqueFd pause;
};

struct ForkedMonitor {
  pid_t pid = -1;
  Pidfd process;        // our child: the caller has to reap it
  UniqueFd connection;  // our end
};

class ZygoteClient {
 public:
  explicit ZygoteClient(MonitorPrograms programs) : programs_(std::move(programs)) {}

  // A monitor, born in `cgroup_fd`, with copies of the descriptors given.
  Result<ForkedMonitor> Fork(int listener, int exits, int cgroup_fd);

 private:
  class Process;
  Result<std::shared_ptr<Process>> Get();
  void Drop(const std::shared_ptr<Process>& process);

  MonitorPrograms programs_;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<Process> process_;
};

}  // namespace fermata::runtime
