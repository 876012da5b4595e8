// create, start, run: a bundle becomes a container.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <csignal>
#include <ctime>

#include "cgroups/devices.h"
#include "cgroups/mount.h"
#include "cgroups/placement.h"
#include "runtime/base/file.h"
#include "runtime/base/memfd.h"
#include "runtime/launch/bundle_plan.h"
#include "runtime/launch/launcher.h"
#include "runtime/launch/mounts.h"
#include "runtime/oci/commands.h"
#include "runtime/oci/hooks.h"
#include "runtime/oci/launch.h"
#include "runtime/oci/seccomp_agent.h"
#include "runtime/oci/state_store.h"
#include "runtime/oci/terminal.h"
#include "runtime/spec/spec_json.h"

namespace fermata::runtime::oci {
namespace {

constexpr size_t kMaxConfig = size_t{8} << 20;
constexpr auto kEmptyDeadline = std::chrono::seconds(10);

std::string Now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm broken{};
  ::gmtime_r(&now.tv_sec, &broken);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &broken);
  std::string nanoseconds = std::to_string(now.tv_nsec);
  nanoseconds.insert(0, 9 - nanoseconds.size(), '0');
  return std::string(text.data()) + "." + nanoseconds + "Z";
}

Result<std::string> Absolute(const std::string& path) {
  std::array<char, PATH_MAX> resolved{};
  if (::realpath(path.c_str(), resolved.data()) == nullptr) return Error::Errno("bundle ", path);
  return std::string(resolved.data());
}

// The specification of a bundle, with absolute paths.
Result<Spec> ReadBundle(const std::string& bundle) {
  ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(AT_FDCWD, bundle, O_RDONLY | O_DIRECTORY), "bundle");
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(directory.get(), "config.json", kMaxConfig), "bundle ", bundle);
  ASSIGN_OR_RETURN(Spec spec, SpecFromJson(text));
  if (!spec.root_path.starts_with('/')) spec.root_path = bundle + "/" + spec.root_path;
  for (Mount& mount : spec.mounts) {
    if (!mount.destination.starts_with('/')) mount.destination.insert(0, "/");  // as before version 1.0
    if (IsBind(mount) && !mount.source.starts_with('/')) mount.source = bundle + "/" + mount.source;
  }
  return spec;
}

// Everything that a failed create takes back.
class Creation {
 public:
  Creation(StateStore& store, std::string id) : store_(store), id_(std::move(id)) {}
  Creation(const Creation&) = delete;
  Creation& operator=(const Creation&) = delete;
  ~Creation() {
    if (done_) return;
    if (!group_.empty()) {
      if (auto made = root_.OpenBelow(group_)) {
        (void)made->Kill();
        (void)made->WaitEmpty(kEmptyDeadline);
      }
      (void)root_.Remove(group_);
    }
    (void)store_.Remove(id_);
  }

  Result<cgroups::Cgroup> MakeGroup(const Global& global, const Spec& spec, std::string path) {
    ASSIGN_OR_RETURN(const std::string mount, cgroups::FindCgroup2Mount());
    ASSIGN_OR_RETURN(root_, cgroups::Cgroup::Open(mount));
    if (auto there = root_.OpenBelow(path)) {
      ASSIGN_OR_RETURN(const bool populated, there->Populated());
      if (populated) {
        return Error::Make(ErrorCode::kFailedPrecondition, "control group ", path, ": processes are in it already");
      }
    }
    group_ = std::move(path);
    ASSIGN_OR_RETURN(auto created, root_.Create(group_, {{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}}));
    ASSIGN_OR_RETURN(const cgroups::ApplyReport report,
                     cgroups::Apply(created.cgroup, spec.linux.resources, global.missing_controllers));
    (void)report;  // what --missing-controllers=warn lets pass
    // As other runtimes: what every container needs stays open, whatever else the rules say.
    std::vector<cgroups::DeviceRule> rules = spec.linux.device_rules;
    for (const cgroups::DeviceRule& rule : cgroups::DefaultDeviceRules()) rules.push_back(rule);
    RETURN_IF_ERROR(cgroups::AttachDevices(created.cgroup, rules), "device rules");
    return std::move(created.cgroup);
  }
  void Keep() { done_ = true; }

 private:
  StateStore& store_;
  std::string id_;
  cgroups::Cgroup root_;
  std::string group_;
  bool done_ = false;
};

Result<std::string> GroupPath(const Spec& spec, const std::string& id) {
  const std::string& wanted = spec.linux.cgroups_path;
  if (wanted.find(':') != std::string::npos && !wanted.starts_with('/')) {
    return Error::Make(ErrorCode::kUnimplemented, "cgroupsPath ", wanted,
                       ": is for systemd; use the cgroupfs manager (podman --cgroup-manager=cgroupfs)");
  }
  return cgroups::NormalizeParent(wanted, "/fermata-oci/" + id);
}

// The process waits at one end each: it is opened for both ways where nobody else has opened the other yet.
struct StartPipes {
  UniqueFd start, started;
  UniqueFd reader;  // of started, until the process has its own
};

Result<StartPipes> MakeStartPipes(int directory) {
  StartPipes pipes;
  for (const char* name : {kStartPipe, kStartedPipe}) {
    if (::mkfifoat(directory, name, 0600) != 0) return Error::Errno("mkfifo ", name);
  }
  ASSIGN_OR_RETURN(pipes.start, OpenAt(directory, kStartPipe, O_RDWR));
  ASSIGN_OR_RETURN(pipes.reader, OpenAt(directory, kStartedPipe, O_RDONLY | O_NONBLOCK));
  ASSIGN_OR_RETURN(pipes.started, OpenAt(directory, kStartedPipe, O_WRONLY));
  return pipes;
}

// A process with CAP_SYS_PTRACE could seize one that joins its PID namespace with the host's rights; who is in one that
// was there before, nobody knows.
bool MayHoldPtrace(const Spec& spec) {
  for (const Namespace& entry : spec.linux.namespaces) {
    if (entry.type == "pid" && !entry.path.empty()) return true;
  }
  const auto& names = spec.process.capabilities.bounding;
  const bool user = std::ranges::any_of(spec.linux.namespaces, [](const Namespace& n) { return n.type == "user"; });
  return !user && std::ranges::find(names, "CAP_SYS_PTRACE") != names.end();
}

// The descriptors of a plan, in the order of bundle_plan.h.
struct Given {
  std::vector<UniqueFd> owned;
  std::vector<int> numbers;
  UniqueFd pid_ns;      // joined
  UniqueFd gate_write;  // our end
  int state_file = -1;
  UniqueFd listener;  // our end
  Console console;

  void Add(UniqueFd fd) { numbers.push_back(owned.emplace_back(std::move(fd)).get()); }
};

Result<> OpenNamespaces(const Spec& spec, Given& given) {
  for (const Namespace& entry : spec.linux.namespaces) {
    if (entry.path.empty()) continue;
    ASSIGN_OR_RETURN(UniqueFd opened, OpenAt(AT_FDCWD, entry.path, O_RDONLY), entry.type, " namespace");
    if (entry.type == "pid") {
      given.pid_ns = std::move(opened);
    } else {
      given.Add(std::move(opened));
    }
  }
  return {};
}

Result<> AddHookDescriptors(const Spec& spec, Given& given) {
  if (HasRuntimeHooks(spec) || HasContainerHooks(spec)) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::Errno("pipe");
    given.gate_write.Reset(ends[1]);
    given.Add(UniqueFd(ends[0]));
  }
  if (!HasContainerHooks(spec)) return {};
  UniqueFd file(::memfd_create("state", MFD_CLOEXEC));
  if (!file.valid()) return Error::Errno("memfd_create");
  given.state_file = file.get();
  given.Add(std::move(file));
  return {};
}

Result<Given> OpenGiven(const Spec& spec, const SeccompFilter& filter, const CreateOptions& options,
                        const StartPipes& pipes, bool detach) {
  Given given;
  RETURN_IF_ERROR(OpenNamespaces(spec, given));
  given.numbers.push_back(pipes.start.get());
  given.numbers.push_back(pipes.started.get());
  RETURN_IF_ERROR(AddHookDescriptors(spec, given));
  if (spec.process.terminal) {
    ASSIGN_OR_RETURN(given.console, MakeConsole(options.console_socket, detach));
    given.numbers.push_back(given.console.theirs.get());
  }
  if (filter != nullptr && filter->notifies) {
    ASSIGN_OR_RETURN(ListenerSocket socket, MakeListenerSocket());
    given.listener = std::move(socket.ours);
    given.Add(std::move(socket.theirs));
  }
  for (size_t i = 0; i < options.preserve_fds; ++i) given.numbers.push_back(static_cast<int>(3 + i));
  return given;
}

Result<> SetProcess(ContainerState& state, const StartedProcess& process) {
  state.pid = process.pid;
  ASSIGN_OR_RETURN(state.start_time, ProcessStartTime(process.pid));
  return {};
}

// At the gate: everything but the root is there.
Result<> RunCreateHooks(ContainerState& state, const Given& given, const StartedProcess& process) {
  RETURN_IF_ERROR(SetProcess(state, process));
  const std::string text = StateJson(state, Status::kCreating).dump();
  if (given.state_file >= 0) RETURN_IF_ERROR(WriteAll(given.state_file, text));
  RETURN_IF_ERROR(RunHooks(state.spec.hooks.prestart, "prestart", text));
  return RunHooks(state.spec.hooks.create_runtime, "createRuntime", text);
}

struct Created {
  ContainerState state;
  StartedProcess process;
  UniqueFd console;  // our end, where nobody else has it
};

Result<Created> CreateContainer(const Global& global, const CreateOptions& options, bool detach) {
  RETURN_IF_ERROR(CheckPreserved(options.preserve_fds));
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  Created created;
  ContainerState& state = created.state;
  state.id = options.id;
  state.created = Now();
  ASSIGN_OR_RETURN(state.bundle, Absolute(options.bundle));
  ASSIGN_OR_RETURN(state.spec, ReadBundle(state.bundle));
  ASSIGN_OR_RETURN(state.group, GroupPath(state.spec, state.id));
  ASSIGN_OR_RETURN(const SeccompFilter filter, FilterOf(state.spec));
  state.two_stages = MayHoldPtrace(state.spec);
  ASSIGN_OR_RETURN(const LaunchPlan plan,
                   PlanBundle({.spec = state.spec, .seccomp = filter, .preserved = options.preserve_fds}));
  state.steps = StepsOf(plan);

  ASSIGN_OR_RETURN(const UniqueFd directory, store.Create(options.id));
  Creation creation(store, options.id);
  ASSIGN_OR_RETURN(const cgroups::Cgroup group, creation.MakeGroup(global, state.spec, state.group));
  ASSIGN_OR_RETURN(StartPipes pipes, MakeStartPipes(directory.get()));
  ASSIGN_OR_RETURN(Given given, OpenGiven(state.spec, filter, options, pipes, detach));
  ASSIGN_OR_RETURN(const UniqueFd own_pid_ns, OpenAt(AT_FDCWD, "/proc/self/ns/pid", O_RDONLY));
  const LaunchFds fds{.standard = {0, 1, 2},
                      .cgroup = group.fd(),
                      .pid_join = given.pid_ns.get(),
                      .own_pid_ns = own_pid_ns.get(),
                      .given = given.numbers};
  const Attendance attendance{
      .gate = given.gate_write.get(),
      .at_gate = [&](const StartedProcess& process) { return RunCreateHooks(state, given, process); },
      .listener = given.listener.get(),
      .hand_on = [&](const StartedProcess& process, const UniqueFd& listener) -> Result<> {
        RETURN_IF_ERROR(SetProcess(state, process));
        return HandOnListener(state, Status::kCreating, process.pid, listener);
      }};
  ASSIGN_OR_RETURN(created.process, LaunchAndWait(plan, fds, attendance));
  RETURN_IF_ERROR(SetProcess(state, created.process));
  RETURN_IF_ERROR(store.Save(directory.get(), state));
  RETURN_IF_ERROR(WritePidFile(options.pid_file, state.pid));
  given.console.theirs.Reset();
  if (given.console.ours.valid()) {
    ASSIGN_OR_RETURN(created.console, ReceiveDescriptor(given.console.ours.get()), "terminal");
  }
  creation.Keep();
  return created;
}

// The byte that starts it, and what comes of it.
Result<> ReleaseProcess(int directory, const ContainerState& state) {
  ASSIGN_OR_RETURN(const UniqueFd started, OpenAt(directory, kStartedPipe, O_RDONLY | O_NONBLOCK));
  auto start = OpenAt(directory, kStartPipe, O_WRONLY | O_NONBLOCK);
  if (!start) return std::move(start).error().Wrap("the container's process has ended");
  RETURN_IF_ERROR(WriteAll(start->get(), "s"));
  (void)::unlinkat(directory, kStartPipe, 0);  // from now on it is not "created" any more
  (void)::unlinkat(directory, kStartedPipe, 0);
  pollfd ready{started.get(), POLLIN, 0};
  while (::poll(&ready, 1, -1) < 0 && errno == EINTR) {
  }
  ChildFailure failure;
  if (ReadReport(started.get(), failure) == Report::kFailed) return StepError(state.steps, failure);
  return {};
}

}  // namespace

Result<> Create(const Global& global, const CreateOptions& options) {
  RETURN_IF_ERROR(CreateContainer(global, options, true));
  return {};
}

Result<> Start(const Global& global, const std::string& id) {
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  ASSIGN_OR_RETURN(const ContainerState state, store.Load(id));
  ASSIGN_OR_RETURN(const Status status, StatusOf(store, state));
  if (status != Status::kCreated) {
    return Error::Make(ErrorCode::kFailedPrecondition, "cannot start a container in the ", StatusText(status),
                       " state");
  }
  ASSIGN_OR_RETURN(const UniqueFd directory, store.OpenDirectory(id));
  RETURN_IF_ERROR(ReleaseProcess(directory.get(), state));
  auto done = RunHooks(state.spec.hooks.poststart, "poststart", StateJson(state, Status::kRunning).dump());
  if (done) return {};
  if (const auto process = ProcessOf(state)) (void)process->Signal(SIGKILL);  // runtime.md, lifecycle: it is stopped
  return done;
}

Result<int> Run(const Global& global, const RunOptions& options) {
  ASSIGN_OR_RETURN(const Created created, CreateContainer(global, options, options.detach));
  UniqueFd signals;
  if (!options.detach) {
    ASSIGN_OR_RETURN(signals, HoldSignals());  // from here on they are the container's
  }
  auto started = Start(global, options.id);
  if (!started) {
    (void)Delete(global, options.id, true);  // the failure of the start is the one to tell
    return std::move(started).error();
  }
  if (options.detach) return 0;
  ASSIGN_OR_RETURN(const int code, Attend(created.process.pidfd, created.console.get(), signals.get()));
  if (!options.keep) RETURN_IF_ERROR(Delete(global, options.id, true));
  return code;
}

}  // namespace fermata::runtime::oci
