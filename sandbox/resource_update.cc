#include "sandbox/resource_update.h"

#include <fcntl.h>

#include <cerrno>
#include <set>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/operation.h"
#include "sandbox/busy.h"

namespace fermata::sandbox {
namespace {

// A process that is still in `group`: the number may be another one's by now, but not that of the open directory.
Result<UniqueFd> OpenMember(pid_t pid, const std::string& group) {
  ASSIGN_OR_RETURN(UniqueFd directory, OpenAt(AT_FDCWD, "/proc/" + std::to_string(pid), O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(directory.get(), "cgroup"));
  const size_t line = text.find("0::");
  if (line == std::string::npos || text.find(group, line) == std::string::npos) return UniqueFd();
  return directory;
}

// Lowering needs a capability that the daemon itself may lack; then it is as far as permitted, and logged.
Result<> SetOomScore(const cgroups::Cgroup& cgroup, const ContainerRecord& record, int score) {
  std::set<pid_t> done;
  for (bool more = true; more;) {  // until no process came up meanwhile that has its parent's old value
    more = false;
    ASSIGN_OR_RETURN(const std::vector<pid_t> pids, cgroup.ProcessesBelow());
    for (const pid_t pid : pids) {
      if (!done.insert(pid).second) continue;
      more = true;
      const auto directory = OpenMember(pid, record.group);
      if (!directory || !directory->valid()) continue;  // has ended
      const auto file = OpenAt(directory->get(), "oom_score_adj", O_WRONLY);
      const auto written = file ? WriteAll(file->get(), std::to_string(score)) : Result<>(file.error());
      if (!written) log::warn("container {}: oom_score_adj: {}", record.id.str(), written.error().message());
    }
  }
  return {};
}

void Warn(const std::string& what, const cgroups::ApplyReport& report) {
  for (const std::string& warning : report.warnings) log::warn("{}: {}", what, warning);
}

// The kernel first: a record that could not be written is undone there, and after a crash between the two the caller
// sees old values and asks again.
Result<> ApplyToRunning(Engine& engine, const ContainerRecord& record, const ContainerSpec& updated,
                        const ResourceChange& change) {
  ASSIGN_OR_RETURN(const cgroups::Cgroup cgroup, engine.cgroup_mount.OpenBelow(record.group));
  const auto missing = engine.config.missing_controllers;
  ASSIGN_OR_RETURN(const cgroups::ApplyReport report,
                   cgroups::Update(cgroup, record.spec.resources, updated.resources, missing));
  Warn("container " + record.id.str(), report);
  if (!change.oom_score_adj) return {};
  Result<> set = SetOomScore(cgroup, record, *change.oom_score_adj);
  if (!set) (void)cgroups::Update(cgroup, updated.resources, record.spec.resources, missing);  // the first error counts
  return set;
}

}  // namespace

Result<> UpdateContainer(Engine& engine, const ContainerId& id, const ResourceChange& change) {
  const About about(About::What::kContainer, id.str());
  ContainerPtr container = engine.store->Find(id);
  if (container == nullptr) return Error::Make(ErrorCode::kNotFound, "container ", id.str(), " does not exist");
  const LivePtr live = engine.live.Get(container->sandbox);
  const std::shared_lock operations(live->operations);
  ASSIGN_OR_RETURN(const Busy busy, Busy::Take(live, id, "update"));
  container = engine.store->Find(id);
  if (container == nullptr) return Error::Make(ErrorCode::kNotFound, "container ", id.str(), " does not exist");
  const bool running = container->state == ContainerState::kRunning;
  if (!running && container->state != ContainerState::kCreated) {
    return Error::Make(ErrorCode::kFailedPrecondition, "container ", id.str(), " has ended; its limits are history");
  }
  ContainerSpec updated = container->spec;
  updated.resources = cgroups::Merge(updated.resources, change.limits);
  if (change.oom_score_adj) updated.oom_score_adj = change.oom_score_adj;
  RETURN_IF_ERROR(cgroups::RenderSettings(updated.resources));
  if (running) RETURN_IF_ERROR(ApplyToRunning(engine, *container, updated, change));
  auto recorded = engine.store->Update(id, [&](ContainerRecord& record) {
    record.spec.resources = updated.resources;
    record.spec.oom_score_adj = updated.oom_score_adj;
    record.launch.process.oom_score_adj = updated.oom_score_adj;
  });
  if (!recorded && running) {
    const ResourceChange back{.oom_score_adj = container->spec.oom_score_adj};
    ContainerRecord now = *container;
    now.spec = updated;
    if (auto undone = ApplyToRunning(engine, now, container->spec, back); !undone) {
      log::error("container {}: limits not undone: {}", id.str(), undone.error().message());
    }
  }
  if (!recorded) return std::move(recorded).error();
  engine.Changed(container->sandbox);
  return {};
}

Result<> UpdateSandbox(Engine& engine, const SandboxId& id, const cgroups::Resources& overhead,
                       const cgroups::Resources& resources) {
  const About about(About::What::kSandbox, id.str());
  SandboxPtr sandbox = engine.store->Find(id);
  if (sandbox == nullptr) return Error::Make(ErrorCode::kNotFound, "pod sandbox ", id.str(), " does not exist");
  const LivePtr live = engine.live.Get(id);
  const std::unique_lock operations(live->operations);
  sandbox = engine.store->Find(id);
  if (sandbox == nullptr || sandbox->state != SandboxState::kReady) {
    return Error::Make(ErrorCode::kFailedPrecondition, "pod sandbox ", id.str(), " is not ready");
  }
  const cgroups::Resources before = sandbox->spec.resources;
  const cgroups::Resources after = cgroups::Merge(before, resources);
  RETURN_IF_ERROR(cgroups::RenderSettings(after));
  const auto write = [&](const cgroups::Resources& from, const cgroups::Resources& to) -> Result<> {
    if (!sandbox->spec.cgroup_parent.empty()) return {};
    ASSIGN_OR_RETURN(const cgroups::Cgroup cgroup, engine.cgroup_mount.OpenBelow(sandbox->containers_group));
    ASSIGN_OR_RETURN(const auto report, cgroups::Update(cgroup, from, to, engine.config.missing_controllers));
    Warn("pod sandbox " + id.str(), report);
    return {};
  };
  RETURN_IF_ERROR(write(before, after));
  auto recorded = engine.store->Update(id, [&](SandboxRecord& record) {
    record.spec.resources = after;
    record.spec.overhead = cgroups::Merge(record.spec.overhead, overhead);
  });
  if (recorded) return {};
  (void)write(after, before);  // what fails twice is told once
  return std::move(recorded).error();
}

}  // namespace fermata::sandbox
