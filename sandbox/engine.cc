#include "sandbox/engine.h"

#include <fcntl.h>

#include <chrono>

#include "cgroups/mount.h"
#include "overlay/overlay_mount.h"
#include "runtime/base/file.h"
#include "runtime/base/memfd.h"
#include "sandbox/layer_usage.h"

namespace fermata::sandbox {

LivePtr LiveSandboxes::Get(const SandboxId& id) {
  const std::lock_guard lock(mutex_);
  LivePtr& live = live_[id];
  if (live == nullptr) live = std::make_shared<LiveSandbox>();
  return live;
}

LivePtr LiveSandboxes::Find(const SandboxId& id) {
  const std::lock_guard lock(mutex_);
  const auto found = live_.find(id);
  return found == live_.end() ? nullptr : found->second;
}

void LiveSandboxes::Erase(const SandboxId& id) {
  const std::lock_guard lock(mutex_);
  live_.erase(id);
}

std::vector<LivePtr> LiveSandboxes::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<LivePtr> all;
  for (const auto& [id, live] : live_) all.push_back(live);
  return all;
}

size_t LiveSandboxes::CountMonitors() const {
  size_t count = 0;
  for (const LivePtr& live : All()) {
    const std::lock_guard lock(live->mutex);
    count += live->monitor != nullptr ? 1 : 0;
  }
  return count;
}

void Engine::End() {
  ending = true;
  images->CancelImports();
  for (const LivePtr& sandbox : live.All()) {
    std::shared_ptr<runtime::MonitorClient> monitor;
    {
      const std::lock_guard lock(sandbox->mutex);
      monitor = sandbox->monitor;
    }
    if (monitor != nullptr) monitor->Abandon();
    sandbox->changed.notify_all();
  }
  reactor->Stop();
  network.End();
  tasks.Drain();
}

std::optional<runtime::UserMappings> UserMappingsOf(const NamespaceOptions& namespaces) {
  if (!namespaces.has_user()) return std::nullopt;
  return runtime::UserMappings{namespaces.uids, namespaces.gids};
}

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

const std::vector<std::string>& WantedControllers() {
  static const std::vector<std::string> kControllers = {"cpuset", "cpu", "io", "memory", "pids"};
  return kControllers;
}

void Engine::Changed(const SandboxId& id) {
  if (const LivePtr sandbox = live.Find(id)) {
    {
      const std::lock_guard lock(sandbox->mutex);  // so that no waiter misses it between its look and its sleep
    }
    sandbox->changed.notify_all();
  }
  if (on_change) on_change(id);
}

Result<std::unique_ptr<Engine>> Engine::Open(EngineConfig config, Network& network) {
  auto engine = std::make_unique<Engine>(std::move(config), network);
  Engine& e = *engine;
  ASSIGN_OR_RETURN(e.boot_id, ReadFileAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id"));
  ASSIGN_OR_RETURN(e.run_dir, MakeDirectories(AT_FDCWD, e.config.run_dir));
  if (::fchmod(e.run_dir.get(), 0700) != 0) return Error::Errno("chmod ", e.config.run_dir);
  ASSIGN_OR_RETURN(e.sandboxes_dir, MakeDirectories(e.run_dir.get(), "sandboxes", 0700));
  RETURN_IF_ERROR(MakeDirectories(AT_FDCWD, e.config.data_dir));
  ASSIGN_OR_RETURN(const std::string mount, cgroups::FindCgroup2Mount());
  ASSIGN_OR_RETURN(e.cgroup_mount, cgroups::Cgroup::Open(mount));
  runtime::MonitorPrograms programs;
  ASSIGN_OR_RETURN(programs.monitor, SealedProgram("fermata-monitor", e.config.program_dir + "/fermata-monitor"));
  ASSIGN_OR_RETURN(programs.pause, SealedProgram("fermata-pause", e.config.program_dir + "/fermata-pause"));
  e.zygote = std::make_unique<runtime::ZygoteClient>(std::move(programs));
  ASSIGN_OR_RETURN(e.store, Store::Open(e.config.data_dir + "/state.db"));
  e.events = std::make_unique<EventHub>(EventHub::Limits{}, NowNs);
  e.store->SetObserver([events = e.events.get()](const RecordChange& change) { events->Publish(change); });
  // Before the store sweeps the directories that a helper may still write to.
  e.helpers = std::make_unique<HelperGroups>(e.cgroup_mount, e.config.cgroup_root);
  RETURN_IF_ERROR(e.helpers->Sweep(), "sweep helpers");
  ASSIGN_OR_RETURN(UniqueFd helper, SealedProgram("fermata-helper", e.config.program_dir + "/fermata-helper"));
  e.paths =
      std::make_unique<runtime::PathHelper>(std::move(helper), [helpers = e.helpers.get()] { return helpers->Make(); });
  // Plugins are programs with many threads that start further programs.
  RETURN_IF_ERROR(e.network.Start({[helpers = e.helpers.get()] { return helpers->Make("network", 512); }}));
  overlay::Unpacker unpacker;
  ASSIGN_OR_RETURN(unpacker.program, SealedProgram("fermata-unpack", e.config.program_dir + "/fermata-unpack"));
  unpacker.make_group = [helpers = e.helpers.get()] { return helpers->Make(); };
  overlay::ImageStoreOptions store_options;
  store_options.unpacker = std::move(unpacker);
  ASSIGN_OR_RETURN(e.images, overlay::ImageStore::Open(e.config.data_dir, std::move(store_options)));
  e.stats = std::make_unique<stats::Collector>(e.cgroup_mount, *e.events, LayerMeasure(*e.images, e.config.data_dir));
  e.registry = std::make_unique<overlay::RegistryClient>(e.config.registry);
  e.puller = std::make_unique<overlay::ImagePuller>(*e.images, *e.registry, e.config.signature_policies);
  e.overlay_append = overlay::LowerdirAppendSupported(e.config.data_dir);
  ASSIGN_OR_RETURN(e.reactor, runtime::Reactor::Start());
  // The first container should not pay for compiling these.
  RETURN_IF_ERROR(e.seccomp.Get(runtime::DefaultSeccompProfile({})));
  return engine;
}

}  // namespace fermata::sandbox
