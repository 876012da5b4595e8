// What the daemon is doing at this moment.
#include <unistd.h>

#include "cri/network_service.h"
#include "cri/process_facts.h"
#include "cri/server.h"
#include "cri/system_service.h"
#include "cri/version.h"

namespace fermata::cri {
namespace {

void AddOperations(fv1::DebugResponse& response) {
  for (const OperationReport& report : Operations()) {
    fv1::OperationInfo& info = *response.add_operations();
    info.set_name(report.name);
    info.set_stage(report.stage);
    info.set_path(report.path);
    info.set_age_micros(report.age.count());
    info.set_patient(report.patient);
    for (const auto& [name, id] : report.ids) (*info.mutable_ids())[name] = id;
  }
}

void AddQueue(const char* name, const TaskPool::Load& load, fv1::DebugResponse& response) {
  fv1::QueueInfo& info = *response.add_queues();
  info.set_name(name);
  info.set_queued(load.queued);
  info.set_threads(load.threads);
  info.set_idle_threads(load.idle_threads);
}

void AddMonitors(sandbox::Engine& engine, fv1::DebugResponse& response) {
  for (const sandbox::SandboxPtr& record : engine.store->Sandboxes()) {
    fv1::MonitorInfo& info = *response.add_monitors();
    info.set_sandbox_id(record->id.str());
    info.set_pod(record->spec.name_space + "/" + record->spec.name);
    info.set_state("none");
    const sandbox::LivePtr live = engine.live.Find(record->id);
    if (live == nullptr) continue;
    const std::lock_guard lock(live->mutex);
    if (live->monitor == nullptr) continue;
    info.set_pid(live->monitor->pid());
    info.set_state(live->stopping ? "stopping" : "connected");
  }
}

void AddAudit(const MetricsSources& sources, fv1::DebugResponse& response) {
  for (const sandbox::AuditLine& line : sandbox::Audit(sources.engine, AuditedNetworkOf(sources.network))) {
    fv1::AuditInfo& info = *response.add_audit();
    info.set_kind(line.kind);
    info.set_known(line.known);
    info.set_found(line.found);
    for (const std::string& name : line.unaccounted) info.add_unaccounted(name);
  }
}

}  // namespace

grpc::ServerUnaryReactor* SystemService::Debug(grpc::CallbackServerContext* context, const fv1::DebugRequest*,
                                               fv1::DebugResponse* response) {
  return Serve("System.Debug", context, engine_.tasks, [=, this]() -> Result<> {
    const PodsService::Client present(presence_);
    const ProcessFacts facts = ReadProcessFacts();
    response->set_version(kRuntimeVersion);
    response->set_pid(::getpid());
    response->set_started_at_unix_nanos(static_cast<int64_t>(facts.start_time_seconds * 1e9));
    AddOperations(*response);
    AddQueue("calls", engine_.tasks.Now(), *response);
    AddQueue("network", sources_.network.Load(), *response);
    for (const auto& [kind, count] : OpenFilesByKind()) (*response->mutable_open_files())[kind] = count;
    response->set_max_open_files(facts.max_fds);
    response->set_threads(facts.threads);
    AddMonitors(engine_, *response);
    for (const sandbox::Attachment& attachment : sources_.network.Attachments()) {
      if (attachment.owed) FillAttachment(attachment, *response->add_network_debts());
    }
    response->mutable_memory()->set_resident_bytes(facts.resident_bytes);
    response->mutable_memory()->set_virtual_bytes(facts.virtual_bytes);
    response->mutable_memory()->set_proportional_bytes(ProportionalBytes());
    AddAudit(sources_, *response);
    response->set_metrics_url(metrics_url_);
    return {};
  });
}

}  // namespace fermata::cri
