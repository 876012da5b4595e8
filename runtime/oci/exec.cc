// exec: one more process in a container that runs.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>
#include <sstream>

#include "runtime/base/file.h"
#include "runtime/launch/container_plan.h"
#include "runtime/oci/commands.h"
#include "runtime/oci/launch.h"
#include "runtime/oci/seccomp_agent.h"
#include "runtime/oci/state_store.h"
#include "runtime/oci/terminal.h"
#include "runtime/spec/spec_json.h"

namespace fermata::runtime::oci {
namespace {

struct Kind {
  const char* file;
  uint64_t flag;
};
constexpr std::array kKinds = {Kind{"ns/net", CLONE_NEWNET},   Kind{"ns/ipc", CLONE_NEWIPC},
                               Kind{"ns/uts", CLONE_NEWUTS},   Kind{"ns/cgroup", CLONE_NEWCGROUP},
                               Kind{"ns/user", CLONE_NEWUSER}, Kind{"ns/time", CLONE_NEWTIME},
                               Kind{"ns/pid", CLONE_NEWPID}};

// The namespaces in which the process of `directory` (of procfs) differs from us.
Result<uint64_t> DifferentNamespaces(int directory) {
  uint64_t flags = 0;
  ASSIGN_OR_RETURN(const UniqueFd own, OpenAt(AT_FDCWD, "/proc/self", O_PATH | O_DIRECTORY));
  for (const Kind& kind : kKinds) {
    struct stat theirs {};
    struct stat ours {};
    if (::fstatat(directory, kind.file, &theirs, 0) != 0 || ::fstatat(own.get(), kind.file, &ours, 0) != 0) {
      return Error::Errno("stat ", kind.file);
    }
    if (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev) flags |= kind.flag;
  }
  return flags;
}

// "uid" or "uid:gid": digits only, as runc takes it.
Result<> ReadUser(const std::string& text, User& user) {
  const char* at = text.data();
  const char* end = at + text.size();
  const auto take = [&](uint32_t& id) {
    const auto [next, error] = std::from_chars(at, end, id);
    const bool valid = error == std::errc{} && id != UINT32_MAX;
    at = next;
    return valid;
  };
  bool valid = take(user.uid);
  if (valid && at != end && *at == ':') {
    ++at;
    valid = take(user.gid);
  }
  if (valid && at == end) return {};
  return Error::Make(ErrorCode::kInvalidArgument, "--user ", text, ": is not UID or UID:GID, in numbers");
}

Result<Process> ReadProcessFile(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd file, OpenAt(AT_FDCWD, path, O_RDONLY), "--process");
  ASSIGN_OR_RETURN(const std::string text, ReadAll(file.get()), "--process ", path);
  return ProcessFromJson(text);
}

Result<Process> ProcessToRun(const ContainerState& state, const ExecOptions& options) {
  if (!options.process_file.empty()) return ReadProcessFile(options.process_file);
  if (options.args.empty()) return Error::Make(ErrorCode::kInvalidArgument, "exec: no command given");
  Process process = state.spec.process;
  process.args = options.args;
  process.terminal = options.tty;
  process.exec_cpu_affinity = state.spec.process.exec_cpu_affinity;
  for (const std::string& variable : options.env) process.env.push_back(variable);
  if (!options.cwd.empty()) process.cwd = options.cwd;
  if (!options.user.empty()) RETURN_IF_ERROR(ReadUser(options.user, process.user));
  for (const uint32_t gid : options.additional_gids) process.user.additional_gids.push_back(gid);
  for (const std::string& name : options.capabilities) {
    for (auto* set :
         {&process.capabilities.bounding, &process.capabilities.effective, &process.capabilities.permitted}) {
      set->push_back(name);
    }
  }
  process.no_new_privileges = process.no_new_privileges || options.no_new_privileges;
  if (!options.apparmor.empty()) process.apparmor_profile = options.apparmor;
  if (!options.process_label.empty()) process.selinux_label = options.process_label;
  return process;
}

Result<> CheckRunning(StateStore& store, const ContainerState& state, bool ignore_paused) {
  ASSIGN_OR_RETURN(const Status status, StatusOf(store, state));
  if (status == Status::kRunning || status == Status::kCreated || (status == Status::kPaused && ignore_paused)) {
    return {};
  }
  return Error::Make(ErrorCode::kFailedPrecondition, "cannot exec in a ", StatusText(status), " container");
}

// Lines of /proc/PID/uid_map: first inside, first outside, count.
Result<IdMappings> ReadMap(int directory, const char* file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(directory, file));
  std::istringstream lines(text);
  IdMappings mappings;
  for (IdMapping mapping; lines >> mapping.container_id >> mapping.host_id >> mapping.size;)
    mappings.push_back(mapping);
  return mappings;
}

struct Entered {
  uint64_t namespaces = 0;  // that differ from ours
  std::optional<UserMappings> user;
};

Result<Entered> LookAt(const ContainerState& state) {
  ASSIGN_OR_RETURN(const UniqueFd directory,
                   OpenAt(AT_FDCWD, "/proc/" + std::to_string(state.pid), O_PATH | O_DIRECTORY));
  Entered entered;
  ASSIGN_OR_RETURN(entered.namespaces, DifferentNamespaces(directory.get()));
  if ((entered.namespaces & CLONE_NEWUSER) == 0) return entered;
  UserMappings& user = entered.user.emplace();
  ASSIGN_OR_RETURN(user.uids, ReadMap(directory.get(), "uid_map"));
  ASSIGN_OR_RETURN(user.gids, ReadMap(directory.get(), "gid_map"));
  return entered;
}

Result<LaunchPlan> PlanProcess(const ContainerState& state, const Process& process, const SeccompFilter& filter,
                               const Entered& entered, size_t preserved) {
  const uint64_t namespaces = entered.namespaces;
  ExecLaunch launch;
  launch.process = process;
  launch.join_namespaces = namespaces & ~uint64_t{CLONE_NEWPID | CLONE_NEWCGROUP | CLONE_NEWUSER};
  launch.pid = (namespaces & CLONE_NEWPID) != 0 ? PidNamespace::kJoin : PidNamespace::kHost;
  launch.two_stages = state.two_stages;
  launch.personality = state.spec.linux.personality;
  launch.host_cgroup = (namespaces & CLONE_NEWCGROUP) == 0;
  launch.user = entered.user;
  launch.console = process.terminal;
  launch.listener = filter != nullptr && filter->notifies;
  launch.preserved = preserved;
  launch.seccomp = filter;
  return PlanExec(launch);
}

}  // namespace

Result<int> Exec(const Global& global, const ExecOptions& options) {
  RETURN_IF_ERROR(CheckPreserved(options.preserve_fds));
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  ASSIGN_OR_RETURN(const ContainerState state, store.Load(options.id));
  RETURN_IF_ERROR(CheckRunning(store, state, options.ignore_paused));
  ASSIGN_OR_RETURN(const Process process, ProcessToRun(state, options));
  ASSIGN_OR_RETURN(const SeccompFilter filter, FilterOf(state.spec));
  const auto container = ProcessOf(state);
  if (!container) return Error::Make(ErrorCode::kFailedPrecondition, "cannot exec in a stopped container");
  ASSIGN_OR_RETURN(const Entered entered, LookAt(state));
  ASSIGN_OR_RETURN(const LaunchPlan plan, PlanProcess(state, process, filter, entered, options.preserve_fds));
  ASSIGN_OR_RETURN(const cgroups::Cgroup group, GroupOf(state));
  Console console;
  std::vector<int> given;
  if (process.terminal) {
    ASSIGN_OR_RETURN(console, MakeConsole(options.console_socket, options.detach));
    given.push_back(console.theirs.get());
  }
  ListenerSocket listener;
  if (filter != nullptr && filter->notifies) {
    ASSIGN_OR_RETURN(listener, MakeListenerSocket());
    given.push_back(listener.theirs.get());
  }
  for (size_t i = 0; i < options.preserve_fds; ++i) given.push_back(static_cast<int>(3 + i));
  ASSIGN_OR_RETURN(const UniqueFd own_pid_ns, OpenAt(AT_FDCWD, "/proc/self/ns/pid", O_RDONLY));
  UniqueFd signals;
  if (!options.detach) {
    ASSIGN_OR_RETURN(signals, HoldSignals());
  }
  const LaunchFds fds{.standard = {0, 1, 2},
                      .cgroup = group.fd(),
                      .join = container->get(),
                      .pid_join = container->get(),
                      .own_pid_ns = own_pid_ns.get(),
                      .given = given};
  const Attendance attendance{.listener = listener.ours.get(),
                              .hand_on = [&](const StartedProcess& process, const UniqueFd& received) {
                                return HandOnListener(state, Status::kRunning, process.pid, received);
                              }};
  ASSIGN_OR_RETURN(const StartedProcess started, LaunchAndWait(plan, fds, attendance), "exec");
  RETURN_IF_ERROR(WritePidFile(options.pid_file, started.pid));
  console.theirs.Reset();
  if (options.detach) return 0;
  UniqueFd terminal;
  if (console.ours.valid()) {
    ASSIGN_OR_RETURN(terminal, ReceiveDescriptor(console.ours.get()), "terminal");
  }
  return Attend(started.pidfd, terminal.get(), signals.get());
}

}  // namespace fermata::runtime::oci
