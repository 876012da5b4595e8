#include "sandbox/container_manager.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>

#include "cgroups/placement.h"
#include "runtime/base/file.h"
#include "runtime/base/metrics.h"
#include "runtime/base/operation.h"
#include "runtime/base/random_id.h"
#include "runtime/base/signal_name.h"
#include "sandbox/busy.h"
#include "sandbox/container_steps.h"
#include "sandbox/launch_spec.h"
#include "sandbox/mount_source.h"
#include "sandbox/record_codec.h"
#include "sandbox/seccomp_choice.h"

namespace fermata::sandbox {
namespace {

metrics::Family starts(metrics::Kind::kCounter, "fermata_container_starts_total", "Starts of containers, by result",
                       {"result"});
metrics::Family exits(metrics::Kind::kCounter, "fermata_container_exits_total",
                      "Exits of containers that ran, by reason: Completed, Error, OOMKilled", {"reason"});
metrics::Family ooms(metrics::Kind::kCounter, "fermata_container_ooms_total",
                     "Containers that ended because they ran out of memory");

constexpr auto kExitDeadline = std::chrono::seconds(30);  // after SIGKILL

runtime::PidNamespace PlanPid(NamespaceMode mode) {
  switch (mode) {
    case NamespaceMode::kContainer:
      return runtime::PidNamespace::kOwn;
    case NamespaceMode::kNode:
      return runtime::PidNamespace::kHost;
    default:
      return runtime::PidNamespace::kJoin;
  }
}

bool HoldsPtrace(const runtime::Spec& spec) {
  const auto& names = spec.process.capabilities.bounding;
  return std::find(names.begin(), names.end(), "CAP_SYS_PTRACE") != names.end();
}

std::string NameKey(const SandboxId& sandbox, const ContainerSpec& spec) {
  return sandbox.str() + "/" + spec.name + "/" + std::to_string(spec.attempt);
}

Error NotReady(const SandboxId& id) {
  return Error::Make(ErrorCode::kFailedPrecondition, "pod sandbox ", id.str(), " is not ready");
}

}  // namespace

NamespaceMode PidMode(const SandboxRecord& sandbox, const ContainerSpec& spec) {
  const NamespaceMode sandbox_mode = sandbox.spec.namespaces.pid;
  if (sandbox_mode == NamespaceMode::kNode) return NamespaceMode::kNode;
  return spec.security.namespaces.pid;
}

namespace {

// Something else stands where the log, or a directory of it, has to be: the fault of who named it.
Error LogError(Error error, const std::string& path) {
  const int why = error.saved_errno();
  const bool in_the_way = why == ELOOP || why == ENOTDIR || why == EISDIR || why == ENXIO;
  error = std::move(error).Wrap("log ", path);
  return in_the_way ? std::move(error).WithCode(ErrorCode::kInvalidArgument) : error;
}

}  // namespace

Result<UniqueFd> OpenLog(const ContainerRecord& record) {
  const std::string& path = record.log_path;
  const std::string& below = record.spec.log_path;
  const size_t slash = below.rfind('/');
  const std::string parent = slash == std::string::npos ? "" : below.substr(0, slash);
  ASSIGN_OR_RETURN(const UniqueFd top, MakeDirectories(AT_FDCWD, path.substr(0, path.size() - below.size())), "log ",
                   path);
  auto directory = MakeDirectoriesBeneath(top.get(), parent);
  if (!directory) return LogError(std::move(directory).error(), path);
  // Not blocking: a pipe planted under the name must not hang us.
  auto file = OpenBeneath(directory->get(), path.substr(path.rfind('/') + 1),
                          O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0640);
  if (!file) return LogError(std::move(file).error(), path);
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return Error::Errno("stat ", path);
  // With a second name it could be a file of somebody else.
  if (!S_ISREG(status.st_mode) || status.st_nlink != 1) {
    return Error::Make(ErrorCode::kInvalidArgument, "log ", path, ": is not a regular file with one name");
  }
  return file;
}

Result<std::shared_ptr<runtime::MonitorClient>> GetMonitor(LiveSandbox& live, const SandboxId& id) {
  const std::lock_guard lock(live.mutex);
  if (live.monitor == nullptr || live.stopping) return NotReady(id);
  return live.monitor;
}

Result<ContainerPtr> ContainerManager::GetContainer(const ContainerId& id) const {
  ContainerPtr container = engine_.store->Find(id);
  if (container == nullptr) return Error::Make(ErrorCode::kNotFound, "container ", id.str(), " does not exist");
  return container;
}

Result<ContainerId> ContainerManager::Create(const SandboxId& sandbox, const ContainerSpec& spec,
                                             const OperationTable::CallerGone& caller_gone) {
  ContainerRecord identity;
  identity.spec = spec;
  ASSIGN_OR_RETURN(std::string id, engine_.operations.Run(
                                       "container", NameKey(sandbox, spec), Encode(identity),
                                       [&] { return DoCreate(sandbox, spec); }, caller_gone));
  return ContainerId(std::move(id));
}

Result<std::string> ContainerManager::DoCreate(const SandboxId& sandbox_id, const ContainerSpec& spec) {
  const About about(About::What::kSandbox, sandbox_id.str());
  const LivePtr live = engine_.live.Get(sandbox_id);
  const std::shared_lock operations(live->operations);
  SandboxPtr sandbox = engine_.store->Find(sandbox_id);
  if (sandbox == nullptr || sandbox->state == SandboxState::kCreating) {
    engine_.live.Erase(sandbox_id);
    return Error::Make(ErrorCode::kNotFound, "pod sandbox ", sandbox_id.str(), " does not exist");
  }
  if (sandbox->state != SandboxState::kReady) return NotReady(sandbox_id);
  for (const ContainerPtr& other : engine_.store->ContainersOf(sandbox_id)) {
    if (other->spec.name == spec.name && other->spec.attempt == spec.attempt) {
      return Error::Make(ErrorCode::kAlreadyExists, "container ", spec.name, " attempt ", std::to_string(spec.attempt),
                         " exists in the sandbox as ", other->id.str());
    }
  }
  ASSIGN_OR_RETURN(const overlay::ImagePtr image, engine_.images->Get(spec.image));
  ContainerSpec resolved = spec;
  ASSIGN_OR_RETURN(std::vector<overlay::ImagePtr> volumes, FindVolumeImages(*engine_.images, resolved.mounts));
  ASSIGN_OR_RETURN(ContainerRecord record, Describe(*sandbox, std::move(resolved), *image));
  // In a user namespace it has that right over its like only, and never over a process with the host's.
  if (HoldsPtrace(record.launch) && !sandbox->spec.namespaces.has_user() && !sandbox->shares_ptrace) {
    // Before the first such process can exist: from now on this pod is entered in two stages.
    RETURN_IF_ERROR(engine_.store->Update(sandbox_id, [](SandboxRecord& r) { r.shares_ptrace = true; }));
  }
  const std::string id = record.id.str();
  const About about_container(About::What::kContainer, id);
  ContainerBuild build{.engine = engine_,
                       .record = std::move(record),
                       .image = image.get(),
                       .volumes = std::move(volumes),
                       .user = UserMappingsOf(sandbox->spec.namespaces)};
  RETURN_IF_ERROR(RunSteps(ContainerCreateSteps(), build, engine_.config.fault));
  engine_.Changed(sandbox_id);
  return id;
}

Result<ContainerRecord> ContainerManager::Describe(const SandboxRecord& sandbox, ContainerSpec given,
                                                   const overlay::Image& image) {
  ContainerRecord record;
  ASSIGN_OR_RETURN(std::string id, RandomId());
  record.id = ContainerId(std::move(id));
  record.sandbox = sandbox.id;
  record.spec = std::move(given);
  const ContainerSpec& spec = record.spec;
  record.created_at_ns = NowNs();
  record.image_id = image.id;
  record.image_ref = image.id;
  ASSIGN_OR_RETURN(const std::string user_text, UserText(spec.security, image.config));
  ASSIGN_OR_RETURN(const UniqueFd root, engine_.images->OpenRoot(image));
  ASSIGN_OR_RETURN(overlay::ResolvedUser user, overlay::LookupUser(root.get(), user_text));
  ASSIGN_OR_RETURN(std::vector<runtime::Device> devices, CollectDevices(spec));
  RETURN_IF_ERROR(DeviceRules(spec));
  ASSIGN_OR_RETURN(record.launch, BuildLaunchSpec({sandbox, spec, image.config, std::move(user),
                                                   engine_.SandboxDirectory(sandbox.id), std::move(devices)}));
  if (spec.stop_signal != 0) {
    record.stop_signal = spec.stop_signal;
  } else {
    ASSIGN_OR_RETURN(record.stop_signal, ParseSignal(image.config.stop_signal));
  }
  ASSIGN_OR_RETURN(record.group, cgroups::JoinGroup(sandbox.containers_group, record.id.str()));
  if (!sandbox.spec.log_directory.empty() && !spec.log_path.empty()) {
    record.log_path = sandbox.spec.log_directory + "/" + spec.log_path;
  }
  RETURN_IF_ERROR(cgroups::RenderSettings(spec.resources));
  RETURN_IF_ERROR(CheckMountSources(*engine_.paths, spec));
  const NamespaceOptions& namespaces = spec.security.namespaces;
  if (namespaces.pid == NamespaceMode::kTarget) {
    const ContainerPtr target = engine_.store->Find(ContainerId(namespaces.target_id));
    if (target == nullptr || target->sandbox != sandbox.id) {
      return Error::Make(ErrorCode::kInvalidArgument, "PID namespace target ", namespaces.target_id,
                         ": is no container of this sandbox");
    }
  }
  // Refuses now what would fail at the start: capabilities, mounts, seccomp, sizes.
  RETURN_IF_ERROR(Plan(sandbox, record, {}));
  return record;
}

Result<runtime::LaunchPlan> ContainerManager::Plan(const SandboxRecord& sandbox, const ContainerRecord& record,
                                                   const overlay::Snapshot& snapshot) {
  runtime::ContainerLaunch launch;
  launch.spec = record.launch;
  const auto tree = [&](const overlay::LayerNames& layers) {
    return runtime::OverlayRootfs{snapshot.layers_dir, layers, "", "", engine_.overlay_append};
  };
  launch.overlay = tree(snapshot.layers.lower);
  launch.overlay->upper = snapshot.upper;
  launch.overlay->work = snapshot.work;
  auto volume = snapshot.layers.volumes.begin();
  for (const ContainerMount& mount : record.spec.mounts) {
    if (mount.image_id.empty()) continue;
    const bool known = volume != snapshot.layers.volumes.end();  // not while it is only looked whether all fits
    launch.images[mount.image_id] = tree(known ? *volume++ : overlay::LayerNames{});
  }
  launch.join_namespaces = kPodNamespaces;
  launch.pid = PlanPid(PidMode(sandbox, record.spec));
  launch.user = UserMappingsOf(sandbox.spec.namespaces);
  launch.refuse_proc = !record.spec.security.privileged;
  launch.make_sources = !engine_.config.reject_missing_host_path;
  launch.host_network = sandbox.spec.namespaces.network == NamespaceMode::kNode;
  launch.pod_shm = sandbox.spec.namespaces.ipc != NamespaceMode::kNode;
  launch.two_stages = sandbox.shares_ptrace && launch.pid == runtime::PidNamespace::kJoin;
  const auto& capabilities = record.launch.process.capabilities.bounding;
  ASSIGN_OR_RETURN(const auto profile, ChooseSeccomp(record.spec.security, capabilities));
  if (profile) {
    ASSIGN_OR_RETURN(launch.seccomp, engine_.seccomp.Get(*profile));
  }
  return runtime::PlanContainer(launch);
}

Result<> ContainerManager::Start(const ContainerId& id) {
  const About about(About::What::kContainer, id.str());
  ASSIGN_OR_RETURN(ContainerPtr container, GetContainer(id));
  const About about_sandbox(About::What::kSandbox, container->sandbox.str());
  const LivePtr live = engine_.live.Get(container->sandbox);
  const std::shared_lock operations(live->operations);
  ASSIGN_OR_RETURN(const Busy busy, Busy::Take(live, id, "start"));
  ASSIGN_OR_RETURN(container, GetContainer(id));
  if (container->state != ContainerState::kCreated) {
    return Error::Make(ErrorCode::kFailedPrecondition, "container ", id.str(), " was started before");
  }
  const SandboxPtr sandbox = engine_.store->Find(container->sandbox);
  if (sandbox == nullptr || sandbox->state != SandboxState::kReady) return NotReady(container->sandbox);
  ASSIGN_OR_RETURN(auto monitor, GetMonitor(*live, container->sandbox));
  ASSIGN_OR_RETURN(const overlay::Snapshot snapshot, engine_.images->GetSnapshot(id.str()));
  ASSIGN_OR_RETURN(const runtime::LaunchPlan plan, Plan(*sandbox, *container, snapshot));

  ContainerBuild build{.engine = engine_, .record = *container, .plan = &plan, .monitor = std::move(monitor)};
  if (Result<> started = RunSteps(ContainerStartSteps(), build, engine_.config.fault); !started) {
    starts.With({"error"}).Add();
    RecordStartFailure(*container, started.error());
    return std::move(started).error().Wrap("start container ", id.str());
  }
  starts.With({"ok"}).Add();
  RETURN_IF_ERROR(engine_.store->Update(id, [&](ContainerRecord& r) {
    // The exit may have been recorded already; then only what it does not know is added.
    if (r.state == ContainerState::kCreated) r.state = ContainerState::kRunning;
    r.started_at_ns = build.started.started_at_ns;
    r.pid = r.state == ContainerState::kRunning ? build.started.pid : 0;
  }));
  engine_.Changed(container->sandbox);
  return {};
}

void ContainerManager::RecordStartFailure(const ContainerRecord& record, const Error& error) {
  auto updated = engine_.store->Update(record.id, [&](ContainerRecord& r) {
    r.state = ContainerState::kExited;
    r.exit_code = 128;
    r.reason = "StartError";
    r.message = error.message();
    r.started_at_ns = r.finished_at_ns = NowNs();
  });
  if (!updated) log::error("record failed start of {}: {}", record.id.str(), updated.error().message());
  engine_.Changed(record.sandbox);
}

void ContainerManager::HandleExit(const SandboxId& sandbox, const runtime::ContainerExit& exit) {
  const ContainerId id(exit.container_id);
  const About about(About::What::kContainer, id.str());
  const About about_sandbox(About::What::kSandbox, sandbox.str());
  bool first = false;
  auto updated = engine_.store->Update(id, [&](ContainerRecord& r) {
    if (r.state == ContainerState::kExited) return;  // told twice: by the event and by the state
    first = true;
    r.state = ContainerState::kExited;
    r.exit_code = exit.exit_code;
    r.started_at_ns = exit.started_at_ns;
    r.finished_at_ns = exit.finished_at_ns;
    r.pid = 0;
    r.reason = exit.oom_killed ? "OOMKilled" : exit.exit_code == 0 ? "Completed" : "Error";
  });
  if (!updated && updated.error().code() != ErrorCode::kNotFound) {
    log::error("record exit of {}: {}", exit.container_id, updated.error().message());
    return;  // not acknowledged: the next daemon is told again
  }
  if (updated && first) {
    exits.With({(*updated)->reason}).Add();
    if (exit.oom_killed) ooms.With().Add();
  }
  std::shared_ptr<runtime::MonitorClient> monitor;
  if (const LivePtr live = engine_.live.Find(sandbox)) {
    const std::lock_guard lock(live->mutex);
    monitor = live->monitor;
  }
  if (monitor != nullptr) (void)monitor->Forget(exit.container_id);  // lost meanwhile: nothing to forget
  engine_.Changed(sandbox);
}

Result<> ContainerManager::KillAndWait(const ContainerRecord& record) {
  const LivePtr live = engine_.live.Get(record.sandbox);
  if (auto monitor = GetMonitor(*live, record.sandbox)) (void)(*monitor)->Kill(record.id.str());
  std::unique_lock lock(live->mutex);
  const bool exited = live->changed.wait_for(lock, kExitDeadline, [&] {
    const ContainerPtr now = engine_.store->Find(record.id);
    return engine_.ending || now == nullptr || now->state != ContainerState::kRunning;
  });
  if (engine_.ending) return Error::Make(ErrorCode::kUnavailable, "the daemon is ending");
  if (exited) return {};
  return Error::Make(ErrorCode::kInternal, "container ", record.id.str(), " does not end after SIGKILL");
}

Result<> ContainerManager::Stop(const ContainerId& id, std::chrono::seconds grace) {
  const ContainerPtr container = engine_.store->Find(id);
  if (container == nullptr || container->state != ContainerState::kRunning) return {};
  const About about(About::What::kContainer, id.str());
  const About about_sandbox(About::What::kSandbox, container->sandbox.str());
  const LivePtr live = engine_.live.Get(container->sandbox);
  if (grace.count() <= 0) return KillAndWait(*container);
  const OperationStage stage("wait for the container to end");
  if (Operation* operation = Operation::Current(); operation != nullptr) operation->BePatient();
  const auto deadline = std::chrono::steady_clock::now() + grace;
  bool first = false;
  {
    const std::lock_guard lock(live->mutex);
    const auto [stop, inserted] = live->stops.try_emplace(id, LiveSandbox::Stop{deadline});
    first = inserted;
    stop->second.deadline = std::min(stop->second.deadline, deadline);
  }
  live->changed.notify_all();  // who waits already has to look at the deadline again
  if (first) {
    if (auto monitor = GetMonitor(*live, container->sandbox))
      (void)(*monitor)->Signal(id.str(), container->stop_signal);
  }
  const auto ended = [&] {
    const ContainerPtr now = engine_.store->Find(id);
    return engine_.ending || now == nullptr || now->state != ContainerState::kRunning;
  };
  std::unique_lock lock(live->mutex);
  bool done = ended();
  while (!done) {
    const auto until = live->stops.contains(id) ? live->stops[id].deadline : deadline;
    if (std::chrono::steady_clock::now() >= until) break;
    (void)live->changed.wait_until(lock, until);
    done = ended();
  }
  live->stops.erase(id);
  lock.unlock();
  if (engine_.ending) return Error::Make(ErrorCode::kUnavailable, "the daemon is ending");
  return done ? Result<>() : KillAndWait(*container);
}

Result<> ContainerManager::RemoveStopped(const ContainerRecord& record) {
  const About about(About::What::kContainer, record.id.str());
  ContainerBuild build{.engine = engine_, .record = record};
  RETURN_IF_ERROR(UndoSteps(ContainerStartSteps(), build), "remove container ", record.id.str());
  RETURN_IF_ERROR(UndoSteps(ContainerCreateSteps(), build), "remove container ", record.id.str());
  engine_.Changed(record.sandbox);
  return {};
}

Result<> ContainerManager::Remove(const ContainerId& id) {
  ContainerPtr container = engine_.store->Find(id);
  if (container == nullptr) return {};
  const About about(About::What::kContainer, id.str());
  const About about_sandbox(About::What::kSandbox, container->sandbox.str());
  const LivePtr live = engine_.live.Get(container->sandbox);
  const std::shared_lock operations(live->operations);
  ASSIGN_OR_RETURN(const Busy busy, Busy::Take(live, id, "remove"));
  container = engine_.store->Find(id);
  if (container == nullptr) return {};
  if (container->state == ContainerState::kRunning) RETURN_IF_ERROR(KillAndWait(*container));
  return RemoveStopped(*container);
}

Result<> ContainerManager::ReopenLog(const ContainerId& id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, GetContainer(id));
  if (container->state != ContainerState::kRunning) {
    return Error::Make(ErrorCode::kFailedPrecondition, "container ", id.str(), " is not running");
  }
  if (container->log_path.empty()) return {};
  ASSIGN_OR_RETURN(auto monitor, GetMonitor(*engine_.live.Get(container->sandbox), container->sandbox));
  ASSIGN_OR_RETURN(const UniqueFd file, OpenLog(*container));
  const OperationStage stage("reopen log", container->log_path);
  return monitor->ReopenLog(id.str(), file.get());
}

}  // namespace fermata::sandbox
