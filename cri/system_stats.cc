// What running containers use, for `fermata stats`.
#include <sys/sysinfo.h>

#include <algorithm>

#include "cri/server.h"
#include "cri/system_service.h"

namespace fermata::cri {
namespace {

namespace stats = sandbox::stats;

std::string PodName(const sandbox::SandboxRecord& record) { return record.spec.name_space + "/" + record.spec.name; }

// By name, "name space/name", or an id or its beginning.
bool Names(const std::string& text, const std::string& id, const std::string& name, const std::string& pod) {
  return text == name || text == pod || (!text.empty() && id.starts_with(text));
}

void Fill(const stats::ContainerSample& sample, const stats::PodSample& pod, fv1::ContainerUsage& usage) {
  usage.set_id(sample.record->id.str());
  usage.set_name(sample.record->spec.name);
  usage.set_sandbox_id(pod.record->id.str());
  usage.set_pod(PodName(*pod.record));
  if (!pod.interfaces.empty()) {
    uint64_t received = 0;
    uint64_t sent = 0;
    for (const stats::Interface& interface : pod.interfaces) {
      received += interface.received.bytes;
      sent += interface.sent.bytes;
    }
    usage.set_network_received_bytes(received);
    usage.set_network_sent_bytes(sent);
  }
  if (!sample.group) return;  // it has just ended
  const cgroups::Stats& group = sample.group->stats;
  usage.set_time_unix_nanos(group.timestamp_ns);
  if (group.cpu) usage.set_cpu_nanos(group.cpu->usage_us * 1000);
  if (group.memory) usage.set_memory_bytes(group.memory->working_set_bytes);
  if (group.memory && group.memory->limit_bytes) usage.set_memory_limit_bytes(*group.memory->limit_bytes);
  usage.set_memory_estimated(group.memory_estimated);
  usage.set_pids(group.pids.value_or(group.processes.value_or(0)));
  if (!group.io) return;
  usage.set_block_read_bytes(group.io->read_bytes);
  usage.set_block_written_bytes(group.io->write_bytes);
}

}  // namespace

grpc::ServerUnaryReactor* SystemService::Stats(grpc::CallbackServerContext* context, const fv1::StatsRequest* request,
                                               fv1::StatsResponse* response) {
  return Serve("System.Stats", context, engine_.tasks, [=, this]() -> Result<> {
    const PodsService::Client present(presence_);
    struct sysinfo machine {};
    if (::sysinfo(&machine) == 0) response->set_memory_total_bytes(machine.totalram * machine.mem_unit);
    std::vector<std::string> unknown(request->names().begin(), request->names().end());
    for (const sandbox::SandboxPtr& record : engine_.store->Sandboxes()) {
      const std::string pod = PodName(*record);
      const auto wants = [&](const std::string& id, const std::string& name) {
        bool wanted = request->names().empty();
        for (const std::string& text : request->names()) {
          if (!Names(text, id, name, pod)) continue;
          wanted = true;
          std::erase(unknown, text);
        }
        return wanted;
      };
      const bool whole = wants(record->id.str(), record->spec.name);
      std::vector<sandbox::ContainerPtr> containers = engine_.store->ContainersOf(record->id);
      std::erase_if(containers,
                    [&](const sandbox::ContainerPtr& one) { return !wants(one->id.str(), one->spec.name) && !whole; });
      if (record->state != sandbox::SandboxState::kReady || containers.empty()) continue;
      const stats::PodSample sample = engine_.stats->Pod(record, containers);
      for (const stats::ContainerSample& one : sample.containers) Fill(one, sample, *response->add_containers());
    }
    if (unknown.empty()) return {};
    return Error::Make(ErrorCode::kNotFound, unknown.front(), ": no pod and no container has this name or id");
  });
}

}  // namespace fermata::cri
