// What fermata.v1 tells of pods: ListEvents, WatchEvents, Describe, Stats.
#include <poll.h>

#include <algorithm>

#include "cri/planned_pod.h"
#include "cri/pod_messages.h"
#include "cri/pods_service.h"
#include "cri/server.h"

namespace fermata::cri {

using sandbox::pods::PodEvent;

namespace {

constexpr size_t kProbesOfTop = 10;  // the last runs that it shows

}  // namespace

Result<std::optional<sandbox::SandboxId>> PodsService::FindIfNamed(const std::string& pod) const {
  if (pod.empty()) return std::optional<sandbox::SandboxId>();
  ASSIGN_OR_RETURN(sandbox::SandboxId id, Find(pod));
  return std::optional(std::move(id));
}

void PodsService::FillAll(const sandbox::pods::PodView& view, fv1::PodStatus& status) const {
  FillStatus(view, status);
  if (manifests_ == nullptr || view.sandbox->spec.owner != sandbox::Owner::kPods) return;
  const std::string name = status.namespace_() + "/" + status.name();
  for (const auto& file : manifests_->Files()) {
    if (std::ranges::count(file.pods, name) > 0) status.set_manifest_file(file.path);
  }
}

grpc::ServerUnaryReactor* PodsService::ListEvents(grpc::CallbackServerContext* context,
                                                  const fv1::ListEventsRequest* request,
                                                  fv1::ListEventsResponse* response) {
  return ServeNow("Pods.ListEvents", context, [&]() -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const std::optional<sandbox::SandboxId> id, FindIfNamed(request->pod()));
    for (const PodEvent& event : pods_.events().After(0, id ? &*id : nullptr))
      FillEvent(event, *response->add_events());
    return {};
  });
}

grpc::ServerWriteReactor<fv1::PodEvent>* PodsService::WatchEvents(grpc::CallbackServerContext*,
                                                                  const fv1::ListEventsRequest* request) {
  using Writer = StreamWriter<fv1::PodEvent>;
  return new Writer("Pods.WatchEvents", engine_.tasks, [this, pod = request->pod()](Writer& writer) -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const std::optional<sandbox::SandboxId> id, FindIfNamed(pod));
    const sandbox::pods::ChangeNotifier::Listener listener(pods_.events().changes());
    writer.OnGone([&listener] { listener.Wake(); });
    uint64_t last = 0;
    bool goes_on = true;
    while (goes_on && !writer.cancelled() && !ending_) {
      listener.Clear();
      const bool is_there = !id || engine_.store->Find(*id) != nullptr;  // first: what is told before it goes is read
      for (const PodEvent& event : pods_.events().After(last, id ? &*id : nullptr)) {
        last = event.number;
        fv1::PodEvent message;
        FillEvent(event, message);
        if (!writer.Write(message)) break;
      }
      goes_on = is_there;
      pollfd wait{listener.fd(), POLLIN, 0};
      if (goes_on) (void)::poll(&wait, 1, -1);
    }
    writer.OnGone({});
    // Not the end of the pod: the client is to come again.
    if (goes_on && ending_) return Error::Make(ErrorCode::kUnavailable, "the daemon is ending");
    return {};
  });
}

grpc::ServerUnaryReactor* PodsService::Describe(grpc::CallbackServerContext* context,
                                                const fv1::DescribePodRequest* request,
                                                fv1::DescribePodResponse* response) {
  return ServeNow("Pods.Describe", context, [&]() -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(request->pod()));
    ASSIGN_OR_RETURN(const sandbox::pods::PodView view, pods_.View(id));
    FillAll(view, *response->mutable_status());
    if (const auto manifest = pods_.ManifestOf(id)) FillPlanned(*manifest, *response->mutable_planned());
    for (const PodEvent& event : pods_.events().After(0, &id)) FillEvent(event, *response->add_events());
    return {};
  });
}

grpc::ServerUnaryReactor* PodsService::Stats(grpc::CallbackServerContext* context, const fv1::PodStatsRequest* request,
                                             fv1::PodStatsResponse* response) {
  return Serve("Pods.Stats", context, engine_.tasks, [=, this]() -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const std::optional<sandbox::SandboxId> id, FindIfNamed(request->pod()));
    for (const sandbox::pods::PodView& view : pods_.List(true)) {
      const sandbox::SandboxPtr& record = view.sandbox;
      if (id ? record->id != *id : record->state != sandbox::SandboxState::kReady) continue;
      const auto sample = engine_.stats->Pod(record, engine_.store->ContainersOf(record->id));
      FillStats(view, sample, pods_.ProbesOf(record->id, kProbesOfTop), *response->add_pods());
    }
    return {};
  });
}

}  // namespace fermata::cri
