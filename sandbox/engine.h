// What the managers of sandboxes and containers share: configuration, stores, and the live handles.
// Made once by Engine::Open (engine_open.cc), in the order in which the members stand.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>

#include "cgroups/cgroup.h"
#include "cgroups/devices.h"
#include "cgroups/settings.h"
#include "overlay/image/image_store.h"
#include "overlay/registry/puller.h"
#include "overlay/registry/registry_client.h"
#include "runtime/base/task_pool.h"
#include "runtime/helper/path_helper.h"
#include "runtime/launch/namespaces.h"
#include "runtime/launch/seccomp.h"
#include "runtime/monitor/client.h"
#include "sandbox/events/event_hub.h"
#include "sandbox/helper_groups.h"
#include "sandbox/network/network.h"
#include "sandbox/operations.h"
#include "sandbox/stats/collector.h"
#include "sandbox/steps.h"
#include "sandbox/store.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

struct EngineConfig {
  std::string data_dir;     // absolute; images, state.db
  std::string run_dir;      // absolute; sockets, exit files, pod files; 0700
  std::string program_dir;  // where fermata-monitor, fermata-pause and fermata-unpack lie
  std::string cgroup_root;  // below the cgroup2 mount: "fermata" or "fermata-<instance>"
  cgroups::MissingControllers missing_controllers = cgroups::MissingControllers::kError;
  bool reject_missing_host_path = false;  // else a directory is made, as containerd and CRI-O do
  overlay::RegistryOptions registry;
  std::vector<std::string> signature_policies;  // policy.json: the first that exists
  std::vector<std::string> pinned_images;       // names, or their beginnings with a * behind
  FaultHook fault;                              // tests only
};

// The part of a sandbox that lives with this daemon only.
struct LiveSandbox {
  // Shared by operations on its containers, exclusive for stop and remove; never held during a long wait.
  std::shared_mutex operations;

  std::mutex mutex;                                 // guards what follows
  std::condition_variable changed;                  // a container's state, a stop's deadline
  std::shared_ptr<runtime::MonitorClient> monitor;  // nullptr: not running, or lost
  struct Stop {
    std::chrono::steady_clock::time_point deadline;
  };
  std::map<ContainerId, Stop> stops;  // StopContainer calls under way
  std::set<ContainerId> busy;         // containers with a start or remove under way
  bool stopping = false;
};
using LivePtr = std::shared_ptr<LiveSandbox>;

class LiveSandboxes {
 public:
  LivePtr Get(const SandboxId& id);   // made if missing
  LivePtr Find(const SandboxId& id);  // nullptr if missing
  void Erase(const SandboxId& id);
  [[nodiscard]] std::vector<LivePtr> All() const;
  [[nodiscard]] size_t CountMonitors() const;  // that are connected

 private:
  mutable std::mutex mutex_;  // guards all
  std::map<SandboxId, LivePtr> live_;
};

struct Engine {
  static Result<std::unique_ptr<Engine>> Open(EngineConfig config, Network& network);

  EngineConfig config;
  Network& network;
  std::string boot_id;
  UniqueFd run_dir;        // config.run_dir
  UniqueFd sandboxes_dir;  // run_dir/sandboxes
  cgroups::Cgroup cgroup_mount;
  bool overlay_append = false;  // the kernel takes "lowerdir+"
  std::unique_ptr<runtime::ZygoteClient> zygote;
  std::unique_ptr<EventHub> events;  // of the store's changes, from the first one on
  std::unique_ptr<Store> store;
  std::unique_ptr<HelperGroups> helpers;
  std::unique_ptr<runtime::PathHelper> paths;  // for whatever lies on a file system of somebody else
  std::unique_ptr<overlay::ImageStore> images;
  std::unique_ptr<stats::Collector> stats;
  std::unique_ptr<overlay::RegistryClient> registry;
  std::unique_ptr<overlay::ImagePuller> puller;
  std::unique_ptr<runtime::Reactor> reactor;
  runtime::SeccompCache seccomp;
  LiveSandboxes live;
  OperationTable operations;
  std::mutex device_mutex;  // guards default_devices
  std::optional<cgroups::DeviceProgram> default_devices;
  // Called after a container's or sandbox's state has changed, on any thread; must not block.
  std::function<void(const SandboxId&)> on_change;
  TaskPool tasks;  // last: ends first, while all above is still there

  explicit Engine(EngineConfig c, Network& n) : config(std::move(c)), network(n) {}
  [[nodiscard]] std::string SandboxDirectory(const SandboxId& id) const {
    return config.run_dir + "/sandboxes/" + id.str();
  }
  void Changed(const SandboxId& id);  // wakes who waits for `id` and calls on_change
  // The daemon ends: every wait returns, nothing new is heard of the monitors, work under way is waited for.
  void End();
  std::atomic<bool> ending = false;
};

// Of the sandbox's user namespace, where it has one.
std::optional<runtime::UserMappings> UserMappingsOf(const NamespaceOptions& namespaces);

// Milliseconds since 1970 are not enough for the CRI: nanoseconds, from the system clock.
int64_t NowNs();

// The controllers that a pod's groups want; what the kernel lacks is no error until a limit needs it.
const std::vector<std::string>& WantedControllers();

}  // namespace fermata::sandbox
