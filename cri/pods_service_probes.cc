// What fermata.v1 tells of probes: ListProbes, ProbeHistory, RunProbe.
#include "cri/planned_pod.h"
#include "cri/pods_service.h"
#include "cri/server.h"
#include "runtime/base/printable.h"
#include "sandbox/probe/flight_judgement.h"

namespace fermata::cri {
namespace {

namespace probe = sandbox::probe;

constexpr size_t kMaxRunOutput = 4096;

using sandbox::pods::ProbeChoice;
using sandbox::pods::ProbeView;

Result<ProbeChoice> ChoiceOf(const std::string& container, const std::string& type) {
  if (type.empty()) return ProbeChoice{container, std::nullopt};
  for (const auto each : {probe::ProbeType::kStartup, probe::ProbeType::kLiveness, probe::ProbeType::kReadiness}) {
    if (type == probe::WordOf(each)) return ProbeChoice{container, each};
  }
  return Error::Make(ErrorCode::kInvalidArgument, "there is no probe of type ", type,
                     "; there are startup, liveness, readiness");
}

const char* WordOf(probe::Verdict verdict) {
  if (verdict == probe::Verdict::kUnknown) return "unknown";
  return verdict == probe::Verdict::kSuccess ? "success" : "failure";
}

void FillTimes(const std::vector<probe::Flight>& flights, fv1::ProbeInfo& out) {
  constexpr int kMiddle = 50, kNearlyAll = 99;
  std::vector<std::chrono::nanoseconds> lateness, latency;
  for (const probe::Flight& flight : flights) {
    lateness.push_back(flight.lateness);
    latency.push_back(flight.latency);
  }
  out.set_lateness_p99_nanos(probe::Percentile(lateness, kNearlyAll).count());
  out.set_latency_p50_nanos(probe::Percentile(latency, kMiddle).count());
  out.set_latency_p99_nanos(probe::Percentile(latency, kNearlyAll).count());
}

void FillProbe(const sandbox::SandboxRecord& pod, const ProbeView& view, fv1::ProbeInfo& out) {
  out.set_pod_id(pod.id.str());
  out.set_namespace_(pod.spec.name_space);
  out.set_pod(pod.spec.name);
  out.set_container(view.container);
  out.set_type(probe::WordOf(view.type));
  out.set_action(Printable(ProbeActionText(view.spec)));
  out.set_initial_delay_seconds(view.spec.initial_delay.count());
  out.set_period_seconds(view.spec.period.count());
  out.set_timeout_seconds(view.spec.timeout.count());
  out.set_success_threshold(static_cast<uint32_t>(view.spec.success_threshold));
  out.set_failure_threshold(static_cast<uint32_t>(view.spec.failure_threshold));
  if (view.believed) out.set_state(WordOf(*view.believed));
  out.set_runs(static_cast<uint32_t>(view.flights.size()));
  if (view.flights.empty()) return;
  const probe::Flight& last = view.flights.back();
  out.set_last_outcome(probe::WordOf(last.outcome));
  out.set_last_unix_nanos(last.at_ns);
  if (!probe::IsGood(last.outcome)) out.set_failures(static_cast<uint32_t>(last.streak));
  FillTimes(view.flights, out);
}

void FillFlight(const probe::Flight& flight, fv1::ProbeFlight& out) {
  out.set_number(flight.number);
  out.set_unix_nanos(flight.at_ns);
  out.set_lateness_nanos(flight.lateness.count());
  out.set_latency_nanos(flight.latency.count());
  out.set_outcome(probe::WordOf(flight.outcome));
  out.set_output(flight.output);
  out.set_streak(static_cast<uint32_t>(flight.streak));
  out.set_changed(flight.changed);
  out.set_container_id(flight.container.str());
  if (flight.throttled_periods) out.set_throttled_periods(*flight.throttled_periods);
  if (flight.throttled_us) out.set_throttled_micros(*flight.throttled_us);
  const auto fill = [](const std::optional<probe::Waiting>& waiting, fv1::ProbePressure* (fv1::ProbeFlight::*field)(),
                       fv1::ProbeFlight& to) {
    if (!waiting) return;
    fv1::ProbePressure& pressure = *(to.*field)();
    pressure.set_some(waiting->some);
    pressure.set_full(waiting->full);
  };
  fill(flight.cpu, &fv1::ProbeFlight::mutable_cpu, out);
  fill(flight.memory, &fv1::ProbeFlight::mutable_memory, out);
  fill(flight.io, &fv1::ProbeFlight::mutable_io, out);
}

}  // namespace

grpc::ServerUnaryReactor* PodsService::ListProbes(grpc::CallbackServerContext* context,
                                                  const fv1::ListProbesRequest* request,
                                                  fv1::ListProbesResponse* response) {
  return ServeNow("Pods.ListProbes", context, [&]() -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const std::optional<sandbox::SandboxId> id, FindIfNamed(request->pod()));
    for (const sandbox::pods::PodView& view : pods_.List(id.has_value())) {
      const sandbox::SandboxRecord& pod = *view.sandbox;
      if (id && pod.id != *id) continue;
      for (const ProbeView& each : pods_.ProbesOf(pod.id)) FillProbe(pod, each, *response->add_probes());
    }
    return {};
  });
}

grpc::ServerUnaryReactor* PodsService::ProbeHistory(grpc::CallbackServerContext* context,
                                                    const fv1::ProbeHistoryRequest* request,
                                                    fv1::ProbeHistoryResponse* response) {
  return ServeNow("Pods.ProbeHistory", context, [&]() -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(request->pod()));
    ASSIGN_OR_RETURN(const ProbeChoice choice, ChoiceOf(request->container(), request->type()));
    ASSIGN_OR_RETURN(const std::vector<ProbeView> chosen, pods_.ChooseProbes(id, choice));
    ASSIGN_OR_RETURN(const sandbox::pods::PodView pod, pods_.View(id));
    for (const ProbeView& each : chosen) {
      fv1::ProbeFlights& out = *response->add_probes();
      FillProbe(*pod.sandbox, each, *out.mutable_probe());
      for (const probe::Flight& flight : each.flights) FillFlight(flight, *out.add_flights());
      const probe::Judgement judgement = probe::Judge(each.flights);
      out.set_blame(probe::WordOf(judgement.blame));
      out.set_verdict(judgement.text);
    }
    return {};
  });
}

grpc::ServerUnaryReactor* PodsService::RunProbe(grpc::CallbackServerContext* context,
                                                const fv1::RunProbeRequest* request, fv1::RunProbeResponse* response) {
  return Serve("Pods.RunProbe", context, engine_.tasks, [=, this]() -> Result<> {
    const Client present(*this);
    ASSIGN_OR_RETURN(const sandbox::SandboxId id, Find(request->pod()));
    ASSIGN_OR_RETURN(const ProbeChoice choice, ChoiceOf(request->container(), request->type()));
    ASSIGN_OR_RETURN(const probe::ProbeReport report, pods_.RunProbe(id, choice));
    response->set_outcome(probe::WordOf(report.result.outcome));
    response->set_output(OneLine(report.result.output, kMaxRunOutput));
    response->set_latency_nanos(report.latency.count());
    return {};
  });
}

}  // namespace fermata::cri
