// The pod engine and its probes: what they tell, the record of how they came out, and runs outside the schedule.
#include <future>

#include "runtime/base/log.h"
#include "runtime/base/operation.h"
#include "sandbox/pods/pod_engine.h"
#include "sandbox/pods/pod_lookup.h"

namespace fermata::sandbox::pods {
namespace {

constexpr probe::ProbeType kTypes[] = {probe::ProbeType::kStartup, probe::ProbeType::kLiveness,
                                       probe::ProbeType::kReadiness};

// Nothing to tell of a success, or where nothing was run.
std::optional<EventText> EventOf(const probe::ProbeKey& key, const probe::ProbeResult& result) {
  constexpr const char* kNames[] = {"Startup", "Liveness", "Readiness"};
  const std::string probe = std::string(kNames[static_cast<size_t>(key.type)]) + " probe ";
  switch (result.outcome) {
    case probe::Outcome::kFailure:
      return EventText{EventType::kWarning, "Unhealthy", probe + "failed: " + result.output, key.container};
    case probe::Outcome::kError:
      return EventText{EventType::kWarning, "Unhealthy", probe + "errored: " + result.output, key.container};
    case probe::Outcome::kWarning:
      return EventText{EventType::kWarning, "ProbeWarning", probe + "warning: " + result.output, key.container};
    default:
      return std::nullopt;
  }
}

// Calls `use(container, type, spec)` for each probe of the manifest, in its order.
template <typename Use>
void ForEachProbe(const PodManifest& manifest, Use use) {
  for (const auto* list : {&manifest.init_containers, &manifest.containers}) {
    for (const PodContainer& container : *list) {
      for (const probe::ProbeType type : kTypes) {
        if (const auto& spec = container.probes.Of(type)) use(container.spec.name, type, *spec);
      }
    }
  }
}

std::string NamesOf(const std::vector<ProbeView>& probes) {
  std::string names;
  for (const ProbeView& view : probes) {
    names += (names.empty() ? "" : ", ") + view.container + " " + probe::WordOf(view.type);
  }
  return names.empty() ? "none" : names;
}

}  // namespace

void PodEngine::OnProbe(const probe::ProbeKey& key, const probe::ProbeReport& report) {
  const probe::ProbeResult& result = report.result;
  if (auto text = EventOf(key, result)) Tell(key.pod, std::move(*text));
  if (result.outcome != probe::Outcome::kUnknown) Remember(key, report);
  if (!report.changed) return;
  const About about(About::What::kSandbox, key.pod.str());
  if (!result.output.empty()) log::info("probe of {}: {}", key.container, result.output);
  OnChange(key.pod);
}

// On the thread of the run that has ended, without a lock of the prober: four small files by the descriptor of the
// group that the collector keeps, about ten microseconds.
void PodEngine::Remember(const probe::ProbeKey& key, const probe::ProbeReport& report) {
  const WorkerPtr worker = FindWorker(key.pod);
  if (worker == nullptr) return;
  const probe::FlightEnd end{NowNs(), std::chrono::steady_clock::now()};
  std::optional<cgroups::Contention> contention;
  if (const ContainerPtr container = engine_.store->Find(report.container)) {
    contention = engine_.stats->ContentionOf(*container);
  }
  worker->flights.Record(key.container, key.type, report, contention, end);
}

void PodEngine::AddProbes(const Worker& worker) {
  ForEachProbe(worker.manifest, [&](const std::string& container, probe::ProbeType type, const probe::ProbeSpec& spec) {
    prober_.Add({worker.id, container, type}, spec);
  });
}

std::vector<ProbeView> PodEngine::ProbesOf(const SandboxId& id, size_t most) const {
  std::vector<ProbeView> views;
  const WorkerPtr worker = FindWorker(id);
  if (worker == nullptr) return views;
  ForEachProbe(worker->manifest,
               [&](const std::string& container, probe::ProbeType type, const probe::ProbeSpec& spec) {
                 ProbeView& view = views.emplace_back(ProbeView{container, type, spec, std::nullopt, {}});
                 view.flights = worker->flights.Last(container, type, most);
                 const ContainerPtr newest = Newest(*engine_.store, id, container);
                 if (newest == nullptr || newest->state != ContainerState::kRunning) return;
                 view.believed = prober_.ResultOf({id, container, type}, newest->id);
               });
  return views;
}

Result<std::vector<ProbeView>> PodEngine::ChooseProbes(const SandboxId& id, const ProbeChoice& choice) const {
  const SandboxPtr sandbox = engine_.store->Find(id);
  if (sandbox == nullptr) return Error::Make(ErrorCode::kNotFound, "pod ", id.str(), " does not exist");
  const std::string& name = sandbox->spec.name;
  const WorkerPtr worker = FindWorker(id);
  if (worker == nullptr) {
    return Error::Make(ErrorCode::kFailedPrecondition, "pod ", name,
                       " is not of a manifest: who made it runs its probes");
  }
  if (!choice.container.empty() && FindContainer(worker->manifest, choice.container) == nullptr) {
    std::string names;
    for (const auto* list : {&worker->manifest.init_containers, &worker->manifest.containers}) {
      for (const PodContainer& container : *list) names += (names.empty() ? "" : ", ") + container.spec.name;
    }
    return Error::Make(ErrorCode::kNotFound, "pod ", name, " has no container ", choice.container, "; it has: ", names);
  }
  const std::vector<ProbeView> all = ProbesOf(id);
  std::vector<ProbeView> chosen;
  for (const ProbeView& view : all) {
    const bool fits =
        (choice.container.empty() || view.container == choice.container) && (!choice.type || view.type == *choice.type);
    if (fits) chosen.push_back(view);
  }
  if (!chosen.empty()) return chosen;
  const std::string kind = choice.type ? std::string(probe::WordOf(*choice.type)) + " probe" : "probe";
  const std::string place = choice.container.empty() ? "pod " + name : "container " + choice.container;
  return Error::Make(ErrorCode::kNotFound, place, " has no ", kind, "; the pod has: ", NamesOf(all));
}

Result<probe::ProbeReport> PodEngine::RunProbe(const SandboxId& id, const ProbeChoice& choice) {
  ASSIGN_OR_RETURN(const std::vector<ProbeView> chosen, ChooseProbes(id, choice));
  if (chosen.size() > 1) {
    return Error::Make(ErrorCode::kInvalidArgument, "several probes are meant: ", NamesOf(chosen),
                       "; choose one with -c and --type");
  }
  const ProbeView& view = chosen.front();
  const ContainerPtr container = Newest(*engine_.store, id, view.container);
  if (container == nullptr || container->state != ContainerState::kRunning) {
    return Error::Make(ErrorCode::kFailedPrecondition, "container ", view.container,
                       " does not run; see: fermata ps -a");
  }
  const auto ended = std::make_shared<std::promise<probe::ProbeReport>>();
  const auto called = std::chrono::steady_clock::now();
  runner_.Run({id, container->id}, view.spec,
              [ended, called, container = container->id](const probe::ProbeResult& result) {
                const auto begun = std::max(called, result.begun);
                ended->set_value({.container = container,
                                  .result = result,
                                  .lateness = begun - called,
                                  .latency = std::chrono::steady_clock::now() - begun});
              });
  return ended->get_future().get();
}

}  // namespace fermata::sandbox::pods
