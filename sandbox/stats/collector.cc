#include "sandbox/stats/collector.h"

namespace fermata::sandbox::stats {
namespace {

GroupName NameOf(const ContainerRecord& record) { return {record.id.str(), record.group}; }
// The pod's: kubelet's if it named one, else the one that we made for it.
GroupName NameOf(const SandboxRecord& record) { return {record.id.str(), record.containers_group}; }

template <typename T>
std::optional<T> IfThere(Result<T> result) {
  if (!result) return std::nullopt;
  return std::move(result).value();
}

}  // namespace

// Drops what is held of what has ended, and counts a new writable layer while it is nearly empty.
class Collector::Follower : public EventHub::Listener, public std::enable_shared_from_this<Follower> {
 public:
  Follower(EventHub& events, Sampler& sampler, WritableLayers& layers)
      : events_(events), sampler_(sampler), layers_(layers) {}

  void Start() {
    const std::lock_guard lock(mutex_);
    subscription_ = events_.Subscribe(shared_from_this());
  }
  void Stop() {
    const std::lock_guard lock(mutex_);
    subscription_ = nullptr;
  }

  void OnNews() override {
    const std::lock_guard lock(mutex_);
    while (subscription_ != nullptr) {
      auto event = subscription_->Next();
      if (!event) {
        Restart(event.error());
        return;
      }
      if (*event == nullptr) return;
      Take(**event);
    }
  }

 private:
  void Take(const Event& event) {
    const bool ended = event.type == EventType::kStopped || event.type == EventType::kDeleted;
    if (ended) sampler_.Forget(event.id);
    if (event.of_sandbox) return;
    if (event.type == EventType::kDeleted) {
      layers_.Forget(event.id);
    } else {
      (void)layers_.Get(event.id);
    }
  }
  // Some events are lost: whatever is still asked for is opened again.
  void Restart(const Error& error) {
    sampler_.ForgetAll();
    layers_.ForgetAll();
    subscription_ = nullptr;
    if (error.code() == ErrorCode::kResourceExhausted) subscription_ = events_.Subscribe(shared_from_this());
  }

  EventHub& events_;
  Sampler& sampler_;
  WritableLayers& layers_;
  std::mutex mutex_;  // guards subscription_
  std::unique_ptr<EventHub::Subscription> subscription_;
};

Collector::Collector(const cgroups::Cgroup& mount, EventHub& events, WritableLayers::Measure measure,
                     const Clock& clock)
    : sampler_(mount, clock),
      layers_(std::move(measure), {}, clock),
      clock_(clock),
      follower_(std::make_shared<Follower>(events, sampler_, layers_)) {
  follower_->Start();
}

Collector::~Collector() { follower_->Stop(); }

ContainerSample Collector::Container(const ContainerPtr& record) {
  ContainerSample sample{.record = record};
  sample.layer = layers_.Get(record->id.str());
  if (record->state == ContainerState::kRunning) sample.group = IfThere(sampler_.Sample(NameOf(*record)));
  return sample;
}

PodSample Collector::Pod(const SandboxPtr& record, const std::vector<ContainerPtr>& containers) {
  PodSample sample{.record = record};
  if (record->state != SandboxState::kReady) return sample;
  const GroupName group = NameOf(*record);
  sample.group = IfThere(sampler_.Sample(group));
  // Without a controller that counts them, they were listed for their memory: not a second time.
  if (sample.group)
    sample.processes = sample.group->stats.pids ? sample.group->stats.pids : sample.group->stats.processes;
  if (!sample.processes) {
    if (const auto counts = sampler_.Processes(group, ProcessDetail::kCount)) sample.processes = counts->processes;
  }
  if (record->spec.namespaces.network != NamespaceMode::kNode) {
    sample.network_at_ns = clock_().wall_ns;
    const GroupName pause{record->id.str(), record->group};
    sample.interfaces = IfThere(sampler_.Interfaces(pause, record->pause_pid)).value_or(std::vector<Interface>());
  }
  for (const ContainerPtr& container : containers) {
    if (container->state == ContainerState::kRunning) sample.containers.push_back(Container(container));
  }
  return sample;
}

std::optional<cgroups::Contention> Collector::ContentionOf(const ContainerRecord& record) {
  if (record.state != ContainerState::kRunning) return std::nullopt;
  return IfThere(sampler_.Contention(NameOf(record)));
}

ContainerDetails Collector::DetailsOf(const ContainerRecord& record) {
  ContainerDetails details;
  details.group = IfThere(sampler_.Details(NameOf(record))).value_or(cgroups::Details());
  details.processes = IfThere(sampler_.Processes(NameOf(record), ProcessDetail::kAll)).value_or(ProcessCounts());
  return details;
}

cgroups::Details Collector::DetailsOf(const SandboxRecord& record) {
  return IfThere(sampler_.Details(NameOf(record))).value_or(cgroups::Details());
}

}  // namespace fermata::sandbox::stats
