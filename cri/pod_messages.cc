#include "cri/pod_messages.h"

namespace fermata::cri {
namespace {

using sandbox::ContainerState;
using sandbox::pods::ContainerView;
using sandbox::pods::PodView;
using sandbox::pods::ProbeView;

std::string StateText(const ContainerView& view) {
  if (view.newest == nullptr) return "Waiting";
  if (view.waits_for_restart && view.restarts > 0) return "CrashLoopBackOff";
  switch (view.newest->state) {
    case ContainerState::kCreated:
      return "Created";
    case ContainerState::kRunning:
      return "Running";
    case ContainerState::kExited:
      return "Exited";
    default:
      return "Unknown";
  }
}

void Fill(const ContainerView& view, ::fermata::v1::ContainerStatus& status) {
  status.set_name(view.name);
  status.set_state(StateText(view));
  status.set_restart_count(static_cast<int32_t>(view.restarts));
  status.set_started(view.started);
  status.set_ready(view.ready);
  status.set_sidecar(view.kind == sandbox::pods::ContainerKind::kSidecar);
  if (view.newest == nullptr) return;
  const sandbox::ContainerRecord& record = *view.newest;
  status.set_id(record.id.str());
  status.set_image(record.spec.image);
  status.set_image_id(record.image_id);
  if (const sandbox::ContainerPtr& last = view.waits_for_restart ? view.newest : view.previous) {
    ::fermata::v1::ContainerEnd& end = *status.mutable_last();
    end.set_exit_code(last->exit_code);
    end.set_reason(last->reason);
    end.set_message(last->message);
    end.set_started_at_unix_nanos(last->started_at_ns);
    end.set_finished_at_unix_nanos(last->finished_at_ns);
  }
  status.set_exit_code(record.exit_code);
  status.set_reason(record.reason);
  status.set_message(record.message);
  status.set_created_at_unix_nanos(record.created_at_ns);
  status.set_started_at_unix_nanos(record.started_at_ns);
  status.set_finished_at_unix_nanos(record.finished_at_ns);
  status.set_pid(record.pid);
}

void FillUsage(const sandbox::stats::GroupSample& sample, ::fermata::v1::Usage& out) {
  const cgroups::Stats& stats = sample.stats;
  if (sample.usage_nano_cores) out.set_cpu_nano_cores(*sample.usage_nano_cores);
  if (stats.memory) {
    out.set_memory_bytes(stats.memory->working_set_bytes);
    if (stats.memory->limit_bytes) out.set_memory_limit_bytes(*stats.memory->limit_bytes);
  }
  if (stats.cpu_pressure) out.set_cpu_pressure(stats.cpu_pressure->some.average10);
  if (stats.memory_pressure) out.set_memory_pressure(stats.memory_pressure->some.average10);
  if (stats.io_pressure) out.set_io_pressure(stats.io_pressure->some.average10);
  if (stats.pids) out.set_processes(*stats.pids);
}

void FillProbe(const ProbeView& view, ::fermata::v1::ProbeHistory& out) {
  out.set_type(sandbox::probe::WordOf(view.type));
  for (const sandbox::probe::Flight& flight : view.flights) {
    const bool good = sandbox::probe::IsGood(flight.outcome);
    out.mutable_results()->push_back(good ? '+' : flight.outcome == sandbox::probe::Outcome::kError ? '!' : '-');
  }
}

}  // namespace

void FillStatus(const PodView& view, ::fermata::v1::PodStatus& status) {
  const sandbox::SandboxRecord& record = *view.sandbox;
  status.set_id(record.id.str());
  status.set_name(record.spec.name);
  status.set_namespace_(record.spec.name_space);
  status.set_uid(record.spec.uid);
  status.set_attempt(record.spec.attempt);
  status.set_phase(view.phase);
  status.set_reason(record.reason);
  status.set_owner(record.spec.owner == sandbox::Owner::kPods ? "pods" : "cri");
  status.set_created_at_unix_nanos(record.created_at_ns);
  status.set_sandbox_ready(record.state == sandbox::SandboxState::kReady);
  for (const std::string& ip : record.ips) status.add_ips(ip);
  for (const ContainerView& container : view.containers) Fill(container, *status.add_containers());
  for (const ContainerView& container : view.init_containers) Fill(container, *status.add_init_containers());
  for (const sandbox::pods::PodCondition& condition : view.conditions) {
    ::fermata::v1::PodCondition& out = *status.add_conditions();
    out.set_type(condition.type);
    out.set_status(condition.holds);
    out.set_reason(condition.reason);
  }
}

void FillEvent(const sandbox::pods::PodEvent& event, ::fermata::v1::PodEvent& out) {
  out.set_pod_id(event.pod.str());
  out.set_namespace_(event.name_space);
  out.set_pod(event.pod_name);
  out.set_container(event.text.container);
  out.set_type(event.text.type == sandbox::pods::EventType::kWarning ? "Warning" : "Normal");
  out.set_reason(event.text.reason);
  out.set_message(event.text.message);
  out.set_count(event.count);
  out.set_first_unix_nanos(event.first_ns);
  out.set_last_unix_nanos(event.last_ns);
}

void FillFile(const sandbox::pods::ManifestDirectory::File& file, ::fermata::v1::ManifestFile& out) {
  out.set_path(file.path);
  out.mutable_pods()->Assign(file.pods.begin(), file.pods.end());
  out.set_error(file.error);
}

void FillChange(const sandbox::pods::PodChange& change, const sandbox::SandboxSpec& pod,
                ::fermata::v1::PodChange& out) {
  using Action = sandbox::pods::PodChange::Action;
  out.set_namespace_(pod.name_space);
  out.set_name(pod.name);
  out.set_action(change.action == Action::kCreated     ? ::fermata::v1::PodChange::CREATED
                 : change.action == Action::kUnchanged ? ::fermata::v1::PodChange::UNCHANGED
                                                       : ::fermata::v1::PodChange::REPLACED);
  for (const sandbox::pods::FieldDifference& field : change.fields) {
    ::fermata::v1::FieldChange& difference = *out.add_fields();
    difference.set_path(field.path);
    difference.set_before(field.before);
    difference.set_after(field.after);
    difference.set_replaces(true);
  }
}

void FillStats(const PodView& view, const sandbox::stats::PodSample& sample, const std::vector<ProbeView>& probes,
               ::fermata::v1::PodStats& out) {
  out.set_pod_id(view.sandbox->id.str());
  out.set_namespace_(view.sandbox->spec.name_space);
  out.set_name(view.sandbox->spec.name);
  if (sample.group) FillUsage(*sample.group, *out.mutable_usage());
  if (sample.processes) out.mutable_usage()->set_processes(*sample.processes);
  for (const sandbox::stats::Interface& interface : sample.interfaces) {
    out.set_received_bytes(out.received_bytes() + interface.received.bytes);
    out.set_sent_bytes(out.sent_bytes() + interface.sent.bytes);
  }
  for (const ContainerView& container : view.All()) {
    out.set_restarts(out.restarts() + container.restarts);
    if (container.newest == nullptr || container.newest->state != ContainerState::kRunning) continue;
    ::fermata::v1::ContainerStats& stats = *out.add_containers();
    stats.set_name(container.name);
    stats.set_restarts(container.restarts);
    for (const sandbox::stats::ContainerSample& each : sample.containers) {
      if (each.record->id == container.newest->id && each.group) FillUsage(*each.group, *stats.mutable_usage());
    }
    for (const ProbeView& each : probes) {
      if (each.container == container.name && !each.flights.empty()) FillProbe(each, *stats.add_probes());
    }
  }
}

}  // namespace fermata::cri
