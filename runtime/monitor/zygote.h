// Zygote: the process that the monitors of one daemon are forked from. A program's start is dearer than all that a
// monitor does until its pod runs (a static glibc asks the processor about itself some sixty times, an exit to the
// hypervisor each), and forked monitors share what they do not change.
//
// One thread. Ends when the daemon has closed the connection; the monitors, which are the daemon's children and not
// its own, go on. They have one address layout in common, as every process that was forked from one.
#pragma once

#include <optional>
#include <vector>

#include "runtime/base/page_buffer.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/monitor/monitor.h"

namespace fermata::runtime {

class Zygote {
 public:
  // `connection`: to the daemon; `program`: pause, sealed.
  Zygote(UniqueFd connection, UniqueFd program) : connection_(std::move(connection)), program_(std::move(program)) {}

  // Serves until the daemon is gone, then returns nothing. In each process forked meanwhile it returns too: with
  // the descriptors that the monitor, which that process is, works with.
  Result<std::optional<MonitorFds>> Serve();

 private:
  Result<std::optional<MonitorFds>> Fork(std::vector<UniqueFd> fds);

  UniqueFd connection_;
  UniqueFd program_;
  PageBuffer buffer_;
};

}  // namespace fermata::runtime
