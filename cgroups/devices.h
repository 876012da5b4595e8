// Which devices the processes of a control group may open and make: an eBPF program of type CGROUP_DEVICE that
// hangs on the group. The group owns it: it goes when the group goes, and outlives the daemon. Any thread, but
// not two calls at once on one group.
//
// Programs of the groups above run too, and all have to agree. Raw bpf(2), without libbpf.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "cgroups/cgroup.h"
#include "cgroups/device_program.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::cgroups {

// What every container gets: mknod of any device (a node that cannot be opened does no harm), and the use of
// null, zero, full, random, urandom, tty, console, ptmx and pseudo-terminals.
std::vector<DeviceRule> DefaultDeviceRules();

// For privileged containers.
std::vector<DeviceRule> AllowAllDeviceRules();

// A list of rules that the kernel has accepted. It owns the descriptor only; groups that the program was attached
// to keep it. Loading is the dear part (verifier and compiler), so whoever starts many containers with equal
// rules keeps one of these. Immutable; any thread.
class DeviceProgram {
 public:
  // When the kernel refuses the program, the error has the verifier's words.
  static Result<DeviceProgram> Load(std::span<const DeviceRule> rules);

  // Puts the rules into force; nothing that they do not allow is allowed. On a group that has rules already the
  // program is replaced in one step, so there is no moment without. Programs of others on the group (systemd)
  // stay.
  [[nodiscard]] Result<> Attach(const Cgroup& cgroup) const;

 private:
  explicit DeviceProgram(UniqueFd program) : program_(std::move(program)) {}

  UniqueFd program_;
};

// Load and Attach at once.
Result<> AttachDevices(const Cgroup& cgroup, std::span<const DeviceRule> rules);

}  // namespace fermata::cgroups
