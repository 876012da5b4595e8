// Collector: what a sandbox or a container uses, by its record. Owns the sampler and the counter of writable layers,
// and follows the events, so that nothing is held of what has ended. Thread-safe. Nothing waits for a disk.
//
// What has no group, because it does not run, has no sample; its writable layer it still has.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "sandbox/events/event_hub.h"
#include "sandbox/stats/sampler.h"
#include "sandbox/stats/writable_layers.h"
#include "sandbox/types.h"

namespace fermata::sandbox::stats {

struct ContainerSample {
  ContainerPtr record;
  std::optional<GroupSample> group;
  std::optional<LayerUsage> layer;
};

struct PodSample {
  SandboxPtr record;
  std::optional<GroupSample> group;   // of the pod's group: pause and all containers
  int64_t network_at_ns = 0;          // since 1970
  std::vector<Interface> interfaces;  // empty in the host's network: its traffic is not the pod's
  std::optional<uint64_t> processes;
  std::vector<ContainerSample> containers;
};

// What only the full set of metrics asks for, besides the sample.
struct ContainerDetails {
  cgroups::Details group;
  ProcessCounts processes;
};

class Collector {
 public:
  // All three outlive this.
  Collector(const cgroups::Cgroup& mount, EventHub& events, WritableLayers::Measure measure, const Clock& clock = Now);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  ContainerSample Container(const ContainerPtr& record);
  // The containers that do not run are left out.
  PodSample Pod(const SandboxPtr& record, const std::vector<ContainerPtr>& containers);
  // What it has to wait for; nullopt: it does not run.
  std::optional<cgroups::Contention> ContentionOf(const ContainerRecord& record);
  // Zero where the kernel has nothing.
  ContainerDetails DetailsOf(const ContainerRecord& record);
  cgroups::Details DetailsOf(const SandboxRecord& record);

 private:
  class Follower;
  Sampler sampler_;
  WritableLayers layers_;
  const Clock clock_;
  std::shared_ptr<Follower> follower_;  // last: ends first
};

}  // namespace fermata::sandbox::stats
