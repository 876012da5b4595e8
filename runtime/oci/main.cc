// fermata-oci: the OCI runtime command line, as podman (--runtime) and containerd (BinaryName) call it.
// Each command is a function of commands.h; here are its options, and where its failure goes.
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <ctime>
#include <functional>
#include <iostream>

#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "runtime/oci/commands.h"

namespace {

using namespace fermata;
namespace oci = runtime::oci;

struct Parsed {
  oci::Global global;
  oci::RunOptions run;  // create's too
  oci::ExecOptions exec;
  oci::UpdateOptions update;
  std::string log, log_format = "text", id, signal = "SIGTERM", format = "table", bundle = ".";
  std::string memory, reservation, swap;
  int64_t pids = 0;
  bool all = false, force = false, quiet = false, stats = false;
  bool systemd_cgroup = false, no_pivot = false, debug = false;
  int interval = 5;
  std::function<Result<int>()> command;
};

// A command without an exit code of its own.
std::function<Result<int>()> Plain(std::function<Result<>()> command) {
  return [command = std::move(command)]() -> Result<int> {
    RETURN_IF_ERROR(command());
    return 0;
  };
}

// Digits are bytes; k, m, g (any case) are powers of 1024; -1 is no limit.
Result<std::optional<int64_t>> Bytes(const std::string& name, const std::string& text) {
  if (text.empty()) return std::optional<int64_t>();
  char* end = nullptr;
  errno = 0;
  const long long number = std::strtoll(text.c_str(), &end, 10);
  const std::string unit(end);
  const size_t power = unit.empty() ? 0 : std::string("kmgKMG").find(unit.front()) % 3 + 1;
  const bool known =
      unit.empty() || (unit.size() <= 2 && std::string("kmgKMG").find(unit.front()) != std::string::npos &&
                       (unit.size() == 1 || unit[1] == 'b' || unit[1] == 'B'));
  if (errno != 0 || end == text.c_str() || !known || number < -1 || number > (INT64_MAX >> 30)) {
    return Error::Make(ErrorCode::kInvalidArgument, name, " ", text, ": is no size like 512m");
  }
  return std::optional<int64_t>(number < 0 ? number : number << (10 * power));
}

Result<> RefuseUnsupported(const Parsed& p) {
  if (p.systemd_cgroup) {
    return Error::Make(ErrorCode::kUnimplemented, "--systemd-cgroup: there is no systemd driver yet; ",
                       "call without it (podman --cgroup-manager=cgroupfs)");
  }
  if (p.no_pivot) {
    return Error::Make(ErrorCode::kUnimplemented, "--no-pivot: leaves the host's root within reach; not supported");
  }
  return {};
}

void AddCreateOptions(CLI::App* app, Parsed& p) {
  app->add_option("ID", p.run.id, "the container's id")->required();
  app->add_option("-b,--bundle", p.run.bundle, "directory with config.json (default: the present one)");
  app->add_option("--console-socket", p.run.console_socket, "unix socket that takes the terminal");
  app->add_option("--pid-file", p.run.pid_file, "file to write the process id to");
  app->add_option("--preserve-fds", p.run.preserve_fds, "how many descriptors from 3 on the container gets");
  app->add_flag("--no-pivot", p.no_pivot, "refused: leaves the host's root within reach");
  app->add_flag("--no-new-keyring", p.run.no_new_keyring, "keep the caller's session keyring");
}

void AddLifeCommands(CLI::App& app, Parsed& p) {
  CLI::App* create = app.add_subcommand("create", "Make a container from a bundle; its process waits for start");
  AddCreateOptions(create, p);
  create->callback([&p] { p.command = Plain([&p] { return oci::Create(p.global, p.run); }); });

  CLI::App* start = app.add_subcommand("start", "Let the process of a created container go");
  start->add_option("ID", p.id)->required();
  start->callback([&p] { p.command = Plain([&p] { return oci::Start(p.global, p.id); }); });

  CLI::App* run = app.add_subcommand("run", "create, start, wait for the end, delete; gives the container's exit code");
  AddCreateOptions(run, p);
  run->add_flag("-d,--detach", p.run.detach, "do not wait for the end, and do not delete");
  run->add_flag("--keep", p.run.keep, "do not delete");
  run->callback([&p] { p.command = [&p] { return oci::Run(p.global, p.run); }; });

  CLI::App* kill = app.add_subcommand("kill", "Send a signal to the container's process");
  kill->add_option("ID", p.id)->required();
  kill->add_option("SIGNAL", p.signal, "name or number (default: SIGTERM)");
  kill->add_flag("-a,--all", p.all, "to all its processes");
  kill->callback([&p] { p.command = Plain([&p] { return oci::Kill(p.global, p.id, p.signal, p.all); }); });

  CLI::App* remove = app.add_subcommand("delete", "Remove what is left of a stopped container");
  remove->add_option("ID", p.id)->required();
  remove->add_flag("-f,--force", p.force, "kill it first if it runs");
  remove->callback([&p] { p.command = Plain([&p] { return oci::Delete(p.global, p.id, p.force); }); });

  CLI::App* pause = app.add_subcommand("pause", "Freeze all processes of a container");
  pause->add_option("ID", p.id)->required();
  pause->callback([&p] { p.command = Plain([&p] { return oci::Pause(p.global, p.id); }); });

  CLI::App* resume = app.add_subcommand("resume", "Let the processes of a paused container go on");
  resume->add_option("ID", p.id)->required();
  resume->callback([&p] { p.command = Plain([&p] { return oci::Resume(p.global, p.id); }); });
}

void AddExec(CLI::App& app, Parsed& p) {
  CLI::App* exec = app.add_subcommand("exec", "Run one more process in a container; gives its exit code");
  exec->add_option("ID", p.exec.id)->required();
  exec->add_option("COMMAND", p.exec.args, "program and arguments")->allow_extra_args();
  exec->positionals_at_end();
  exec->add_option("-p,--process", p.exec.process_file, "file with the process object of a config.json");
  exec->add_option("--cwd", p.exec.cwd, "working directory in the container");
  exec->add_option("-e,--env", p.exec.env, "NAME=value to add to the container's")->allow_extra_args(false);
  exec->add_option("-u,--user", p.exec.user, "UID or UID:GID");
  exec->add_option("-g,--additional-gids", p.exec.additional_gids, "more groups")->allow_extra_args(false);
  exec->add_option("-c,--cap", p.exec.capabilities, "capability to add")->allow_extra_args(false);
  exec->add_option("--apparmor", p.exec.apparmor, "AppArmor profile");
  exec->add_option("--process-label", p.exec.process_label, "SELinux label");
  exec->add_option("--console-socket", p.exec.console_socket, "unix socket that takes the terminal");
  exec->add_option("--pid-file", p.exec.pid_file, "file to write the process id to");
  exec->add_option("--preserve-fds", p.exec.preserve_fds, "how many descriptors from 3 on it gets");
  exec->add_flag("-t,--tty", p.exec.tty, "give it a terminal");
  exec->add_flag("-d,--detach", p.exec.detach, "do not wait for its end");
  exec->add_flag("--no-new-privs", p.exec.no_new_privileges, "set no_new_privs");
  exec->add_flag("--ignore-paused", p.exec.ignore_paused, "also in a paused container, where it waits for resume");
  exec->callback([&p] { p.command = [&p] { return oci::Exec(p.global, p.exec); }; });
}

void AddUpdate(CLI::App& app, Parsed& p) {
  CLI::App* update = app.add_subcommand("update", "Change the limits of a container");
  cgroups::Resources& resources = p.update.resources;
  update->add_option("ID", p.update.id)->required();
  update->add_option("-r,--resources", p.update.resources_file, "file with linux.resources; - is the standard input");
  update->add_option("--cpu-period", resources.cpu_period_us, "microseconds");
  update->add_option("--cpu-quota", resources.cpu_quota_us, "microseconds a period");
  update->add_option("--cpu-share", resources.cpu_shares, "weight, 2 to 262144");
  update->add_option("--cpuset-cpus", resources.cpuset_cpus, "0-3,7");
  update->add_option("--cpuset-mems", resources.cpuset_mems, "0-1");
  update->add_option("--blkio-weight", resources.io_weight, "10 to 1000");
  update->add_option("--memory", p.memory, "bytes, or like 512m; -1 for no limit");
  update->add_option("--memory-reservation", p.reservation, "bytes, or like 512m");
  update->add_option("--memory-swap", p.swap, "memory and swap together; -1 for no limit");
  update->add_option("--pids-limit", resources.pids_limit, "processes and threads; -1 for no limit");
  update->callback([&p] {
    p.command = Plain([&p]() -> Result<> {
      ASSIGN_OR_RETURN(p.update.resources.memory_limit_bytes, Bytes("--memory", p.memory));
      ASSIGN_OR_RETURN(p.update.resources.memory_reservation_bytes, Bytes("--memory-reservation", p.reservation));
      ASSIGN_OR_RETURN(p.update.resources.swap_limit_bytes, Bytes("--memory-swap", p.swap));
      return oci::Update(p.global, p.update);
    });
  });
}

oci::ListFormat FormatOf(const Parsed& p) {
  if (p.quiet) return oci::ListFormat::kQuiet;
  return p.format == "json" ? oci::ListFormat::kJson : oci::ListFormat::kTable;
}

void AddReports(CLI::App& app, Parsed& p) {
  CLI::App* state = app.add_subcommand("state", "Print the state of a container, in JSON");
  state->add_option("ID", p.id)->required();
  state->callback([&p] { p.command = Plain([&p] { return oci::State(p.global, p.id); }); });

  CLI::App* list = app.add_subcommand("list", "List containers");
  list->add_option("-f,--format", p.format, "table or json")->check(CLI::IsMember({"table", "json"}));
  list->add_flag("-q,--quiet", p.quiet, "ids only");
  list->callback([&p] { p.command = Plain([&p] { return oci::List(p.global, FormatOf(p)); }); });

  CLI::App* ps = app.add_subcommand("ps", "List the processes of a container");
  ps->add_option("ID", p.id)->required();
  ps->add_option("-f,--format", p.format, "table or json")->check(CLI::IsMember({"table", "json"}));
  ps->callback([&p] { p.command = Plain([&p] { return oci::Processes(p.global, p.id, p.format == "json"); }); });

  CLI::App* events = app.add_subcommand("events", "Print statistics and OOM kills of a container, an object a line");
  events->add_option("ID", p.id)->required();
  events->add_flag("--stats", p.stats, "once, then end");
  events->add_option("--interval", p.interval, "seconds (default: 5)")->check(CLI::Range(1, 86400));
  events->callback([&p] { p.command = Plain([&p] { return oci::Events(p.global, p.id, p.stats, p.interval); }); });

  CLI::App* features = app.add_subcommand("features", "Print what this runtime can do, in JSON");
  features->callback([&p] { p.command = Plain([] { return oci::Features(); }); });

  CLI::App* spec = app.add_subcommand("spec", "Write a config.json to start from");
  spec->add_option("-b,--bundle", p.bundle, "directory to write it to (default: the present one)");
  spec->callback([&p] { p.command = Plain([&p] { return oci::WriteSpec(p.bundle); }); });
}

// One line a failure, where those who call us look for it.
void Log(const Parsed& p, const std::string& message) {
  if (p.log.empty()) return;
  auto file = OpenAt(AT_FDCWD, p.log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (!file) return;
  const std::time_t now = std::time(nullptr);
  char time[32];
  std::tm broken{};
  (void)std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &broken));
  const std::string text = Json(message).dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string line = p.log_format == "json"
                               ? "{\"level\":\"error\",\"msg\":" + text + ",\"time\":\"" + time + "\"}\n"
                               : std::string("time=\"") + time + "\" level=error msg=" + text + "\n";
  (void)WriteAll(file->get(), line);  // there is nowhere left to say that it failed
}

}  // namespace

int main(int argc, char** argv) {
  // A container must not reach us by ptrace or /proc while we are on our way into its namespaces.
  ::prctl(PR_SET_DUMPABLE, 0);
  CLI::App app("Runs containers from OCI bundles (runtime-spec 1.2), on the engine of Fermata", "fermata-oci");
  app.set_version_flag("-v,--version", "fermata-oci version " FERMATA_VERSION "\nspec: 1.2.0");
  app.require_subcommand(1);
  app.fallthrough();
  Parsed p;
  app.add_option("--root", p.global.root, "directory for the state of containers (default: /run/fermata-oci)");
  app.add_option("--log", p.log, "file to append failures to");
  app.add_option("--log-format", p.log_format, "text or json")->check(CLI::IsMember({"text", "json"}));
  app.add_flag("--debug", p.debug, "accepted for others' sake");
  app.add_flag("--systemd-cgroup", p.systemd_cgroup, "refused: there is no systemd driver yet");
  const std::map<std::string, cgroups::MissingControllers> missing = {{"error", cgroups::MissingControllers::kError},
                                                                      {"warn", cgroups::MissingControllers::kWarn}};
  app.add_option("--missing-controllers", p.global.missing_controllers,
                 "a limit whose controller the machine lacks: error (default) or warn, which starts without it")
      ->transform(CLI::CheckedTransformer(missing))
      ->envname("FERMATA_OCI_MISSING_CONTROLLERS");
  AddLifeCommands(app, p);
  AddExec(app, p);
  AddUpdate(app, p);
  AddReports(app, p);
  CLI11_PARSE(app, argc, argv);
  Result<> supported = RefuseUnsupported(p);
  Result<int> done = supported ? p.command() : Result<int>(supported.error());
  if (done) return *done;
  Log(p, done.error().message());
  std::cerr << "fermata-oci: " << done.error().message() << "\n";
  return 1;
}
