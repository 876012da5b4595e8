// What a control group is limited to, and how that is written: a table of settings. No state; any thread, but
// not two Apply at once on one group.
//
// Only what was asked for is in Resources; everything else is left as it is. Units: bytes, microseconds.
// Kernel: Documentation/admin-guide/cgroup-v2.rst, "Controllers".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cgroups/cgroup.h"
#include "runtime/base/result.h"

namespace fermata::cgroups {

// Limits of one block device, in bytes or operations a second; absent: none asked for, 0: no limit.
struct IoLimit {
  int64_t major = 0;
  int64_t minor = 0;
  std::optional<uint64_t> read_bytes, write_bytes, read_operations, write_operations;
  bool operator==(const IoLimit&) const = default;
};

struct IoDeviceWeight {
  int64_t major = 0;
  int64_t minor = 0;
  uint64_t weight = 0;  // as io_weight
  bool operator==(const IoDeviceWeight&) const = default;
};

struct RdmaLimit {
  std::optional<uint32_t> handles, objects;  // hca_handle, hca_object
  bool operator==(const RdmaLimit&) const = default;
};

// Absent optionals, 0 of plain numbers and "" mean: not asked for. A negative limit means: none ("max").
struct Resources {
  uint64_t cpu_shares = 0;               // 2..262144 as of v1; see WeightFromShares
  std::optional<int64_t> cpu_quota_us;   // 0 and less: no quota
  uint64_t cpu_period_us = 0;            // without a quota: period of "no quota"
  std::optional<uint64_t> cpu_burst_us;  // of quota left over that may be used later
  std::optional<bool> cpu_idle;          // runs only when nothing else wants to
  std::string cpuset_cpus;               // "0-3,7"
  std::string cpuset_mems;
  std::optional<int64_t> memory_limit_bytes;        // memory.max
  std::optional<int64_t> memory_reservation_bytes;  // memory.low
  std::optional<int64_t> swap_limit_bytes;          // memory and swap together, as OCI counts
  bool check_memory_limit = false;                  // a limit below the present usage is refused, not enforced by kills
  std::optional<int64_t> pids_limit;                // 0 is a limit: not even one process
  uint64_t io_weight = 0;                           // 10..1000 as of v1; see IoWeight
  std::vector<IoDeviceWeight> io_device_weights;
  std::vector<IoLimit> io_limits;
  std::map<std::string, RdmaLimit> rdma_limits;     // by device: "mlx5_0"
  std::map<std::string, uint64_t> hugepage_limits;  // {"2MB", bytes}: page usage and reservations
  std::optional<bool> oom_group;                    // an OOM kill ends all processes of the group
  std::map<std::string, std::string> unified;       // {"memory.high", "1048576"}: written last, as given
  bool operator==(const Resources&) const = default;
};

// What to do about a limit whose controller the group does not have.
enum class MissingControllers : uint8_t { kError, kWarn };

struct ApplyReport {
  std::vector<std::string> warnings;  // limits not applied, one sentence each
};

// cpu.weight (1..10000) for cpu.shares (2..262144), by the curve that current runc and crun use:
// 10^((l^2 + 125 l) / 612 - 7/34) with l = log2(shares), rounded up. It maps minimum to minimum, maximum to
// maximum, and the default 1024 to the default 100. The older straight line, 1 + (shares - 2) * 9999 / 262142,
// gives 39 for 1024: then a container with one CPU requested gets a third of what a plain group beside it
// gets, and small requests melt into weight 1. Weights count among siblings only, and all containers of a pod
// are ours, so that kubelet may use either for the pods.
uint64_t WeightFromShares(uint64_t shares);

// io.weight (1..10000) for blkio.weight (10..1000): the straight line between their ends.
uint64_t IoWeight(uint64_t weight);

// One write to a control file.
struct ControlWrite {
  std::string file;
  std::string value;
  bool operator==(const ControlWrite&) const = default;
};

// The writes in the order in which they have to happen. kInvalidArgument for values that contradict each other
// and for names in `unified` or `hugepage_limits` that are none.
Result<std::vector<ControlWrite>> RenderSettings(const Resources& resources);

// Checks everything first, then writes. Names group, file and controller in its errors; a missing controller
// is kFailedPrecondition (nothing was written then), or a warning with kWarn. After another failure the writes
// before it stay in force.
Result<ApplyReport> Apply(const Cgroup& cgroup, const Resources& resources,
                          MissingControllers missing = MissingControllers::kError);

// `base` with what `change` asks for in its place; entries of maps one by one.
Resources Merge(Resources base, const Resources& change);

// As Apply, for a group that has `before`: only what is different in `after` is written, and after a failure what was
// written is as it was before. Where even that fails the error says so.
Result<ApplyReport> Update(const Cgroup& cgroup, const Resources& before, const Resources& after,
                           MissingControllers missing = MissingControllers::kError);

}  // namespace fermata::cgroups
