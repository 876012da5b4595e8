// fermata: the command line. Each command is a function of commands.h.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <iostream>
#include <sstream>

#include "cri/cli/commands.h"
#include "cri/cli/complete.h"
#include "cri/cli/config_commands.h"
#include "cri/cli/generate.h"
#include "cri/cli/image_options.h"
#include "cri/cli/listing.h"
#include "cri/cli/network_commands.h"
#include "cri/cli/output.h"
#include "cri/cli/probe_commands.h"
#include "cri/cli/system_commands.h"

namespace {

namespace cli = fermata::cri::cli;
using fermata::Result;

// What the options are read into; the command that was chosen is called when all are there.
struct Parsed {
  cli::Global global;
  cli::RunOptions run;
  cli::LogsOptions logs;
  cli::EventsOptions events;
  cli::TopOptions top;
  cli::ExecOptions exec;
  cli::StreamOptions stream;
  std::vector<std::string> names;
  std::string shell;
  int64_t grace = -1;
  bool all = false;
  bool force = false;
  std::function<Result<int>()> command;
};

void AddWaitOptions(CLI::App& command, cli::RunOptions& options) {
  CLI::Option* wait =
      command
          .add_option("--wait", options.wait,
                      "return when all pods are ready, or have ended; the exit status is then 0, or that "
                      "of the first container that failed")
          ->check(CLI::IsMember({"ready", "completed"}))
          ->option_text("ready|completed");
  command.add_option("--timeout", options.timeout_seconds, "of --wait, in seconds: 90, 90s, 10m, 2h (default: none)")
      ->transform(CLI::AsNumberWithUnit(std::map<std::string, int64_t>{{"s", 1}, {"m", 60}, {"h", 3600}}))
      ->needs(wait);
}

void AddPodCommands(CLI::App& app, Parsed& p) {
  CLI::App* run = app.add_subcommand("run",
                                     "Run the pods of a manifest: follow their output, stop them on Ctrl-C, "
                                     "remove them at the end. The exit status is that of the first container that "
                                     "failed, or 0");
  run->add_option("FILE", p.run.file, "Pod YAML; - for standard input")->required();
  run->add_flag("-d,--detach", p.run.detach, "print the pods' ids and leave them running");
  run->add_flag("--keep", p.run.keep, "keep the pods when they are over, for logs and pods");
  run->add_flag("--allow-ignored", p.run.allow_ignored, "leave out what is not honoured, and say so");
  run->add_flag("--dry-run", p.run.dry_run, "only print what would be made; shows no values of variables and files");
  run->add_flag("--replace", p.run.replace, "stop and remove pods of these names that are there");
  AddWaitOptions(*run, p.run);
  run->callback([&p] { p.command = [&p] { return cli::Run(p.global, p.run); }; });

  CLI::App* apply =
      app.add_subcommand("apply",
                         "Make pods be as their manifest says: start those that are not there, leave those "
                         "that were made from the same, and tell field by field what differs in others");
  apply->add_option("FILE", p.run.file, "Pod YAML; - for standard input")->required();
  apply->add_flag("--replace,--force", p.run.replace, "stop pods that differ, and start them anew");
  apply->add_flag("--allow-ignored", p.run.allow_ignored, "leave out what is not honoured, and say so");
  apply->add_flag("--dry-run", p.run.dry_run, "only tell what would be done, and what differs");
  AddWaitOptions(*apply, p.run);
  cli::AddShowOptions(*apply, p.global);
  apply->callback([&p] { p.command = [&p] { return cli::Apply(p.global, p.run); }; });

  CLI::App* validate = app.add_subcommand("validate", "Check a manifest, without a daemon: all errors at once");
  validate->add_option("FILE", p.run.file, "Pod YAML; - for standard input")->required();
  validate->add_flag("--allow-ignored", p.run.allow_ignored, "what is not honoured is no error");
  validate->callback([&p] { p.command = [&p] { return cli::Validate(p.global, p.run); }; });

  CLI::App* stop = app.add_subcommand("stop", "Stop pods gracefully; they stay listed until they are removed");
  stop->add_option("POD", p.names, "names, or ids or their beginnings")->required();
  stop->add_option("-t,--time", p.grace, "seconds before the kill (default: what the manifest says)")
      ->check(CLI::NonNegativeNumber);
  stop->callback([&p] {
    p.command = [&p] { return cli::Stop(p.global, p.names, p.grace < 0 ? std::nullopt : std::optional(p.grace)); };
  });

  CLI::App* restart =
      app.add_subcommand("restart",
                         "Stop pods gracefully and start them again from their manifests, as new pods: "
                         "containers, emptyDir volumes and logs begin anew, claims stay. Prints the new ids");
  restart->add_option("POD", p.names, "names, or ids or their beginnings")->required();
  restart->add_option("-t,--time", p.grace, "seconds before the kill (default: what the manifest says)")
      ->check(CLI::NonNegativeNumber);
  restart->callback([&p] {
    p.command = [&p] { return cli::Restart(p.global, p.names, p.grace < 0 ? std::nullopt : std::optional(p.grace)); };
  });

  CLI::App* rm = app.add_subcommand("rm", "Remove pods that are over, with their logs and volumes");
  rm->add_option("POD", p.names, "names, or ids or their beginnings")->required();
  rm->add_flag("-f,--force", p.force, "stop those that run");
  rm->callback([&p] { p.command = [&p] { return cli::Remove(p.global, p.names, p.force); }; });
}

void AddLookCommands(CLI::App& app, Parsed& p) {
  CLI::App* pods = app.add_subcommand("pods", "List pods");
  pods->add_flag("-a,--all", p.all, "also those that kubelet or crictl made");
  cli::AddListOptions(*pods, p.global);
  pods->callback([&p] { p.command = [&p] { return cli::ListPods(p.global, p.all); }; });

  CLI::App* ps = app.add_subcommand("ps", "List the containers of pods");
  ps->add_flag("-a,--all", p.all, "also those that do not run");
  cli::AddListOptions(*ps, p.global);
  ps->callback([&p] { p.command = [&p] { return cli::ListContainers(p.global, p.all); }; });

  CLI::App* describe = app.add_subcommand("describe",
                                          "Show all that is known of pods: containers and how the last of "
                                          "them ended, probes, mounts, volumes, conditions, events");
  describe->add_option("POD", p.names, "names, or ids or their beginnings")->required();
  cli::AddShowOptions(*describe, p.global);
  describe->callback([&p] { p.command = [&p] { return cli::Describe(p.global, p.names); }; });

  CLI::App* top = app.add_subcommand(
      "top",
      "Show what pods use: CPU in thousandths of one, memory, tasks, pressure (percent of the last ten seconds in "
      "which something waited for CPU/memory/disks), traffic, restarts and how their probes came out lately. On a "
      "terminal until Ctrl-C");
  top->add_option("POD", p.top.pod, "this one with its containers: name or id (default: all that run)");
  top->add_flag("--no-stream", p.top.no_stream, "one table");
  cli::AddListOptions(*top, p.global);
  top->callback([&p] { p.command = [&p] { return cli::Top(p.global, p.top); }; });

  CLI::App* events =
      app.add_subcommand("events",
                         "Show what happened to pods, the newest last; of pods that are there, and since the "
                         "daemon was started");
  events->add_option("POD", p.events.pod, "only of this one: name or id");
  events->add_flag("-f,--follow", p.events.follow, "go on with what happens; of one pod, until it is removed");
  cli::AddListOptions(*events, p.global);
  events->callback([&p] { p.command = [&p] { return cli::Events(p.global, p.events); }; });
}

void AddContainerCommands(CLI::App& app, Parsed& p) {
  CLI::App* logs = app.add_subcommand("logs", "Print what the containers of a pod have written");
  logs->add_option("POD", p.logs.pod, "name or id")->required();
  logs->add_option("-c,--container", p.logs.container, "only this container");
  logs->add_flag("-f,--follow", p.logs.follow, "go on until the pod is over");
  logs->add_flag("-t,--timestamps", p.logs.timestamps, "with the time of each line");
  logs->add_option("--tail", p.logs.tail, "only so many lines of each container")->check(CLI::PositiveNumber);
  logs->callback([&p] { p.command = [&p] { return cli::Logs(p.global, p.logs); }; });

  logs->add_flag("-p,--previous", p.logs.previous, "of what ran before the container was started again");
  logs->add_option("--since", p.logs.since_seconds, "only lines that are newer than so long: 90, 90s, 10m, 2h, 1d")
      ->transform(
          CLI::AsNumberWithUnit(std::map<std::string, int64_t>{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}));
}

void AddStreamCommands(CLI::App& app, Parsed& p) {
  CLI::App* exec = app.add_subcommand("exec", "Run a program in a container; its exit status is ours");
  exec->add_option("POD", p.stream.pod, "name or id")->required();
  exec->add_option("-c,--container", p.stream.container, "in this container");
  exec->add_flag("-i,--stdin", p.stream.want_stdin, "with our standard input");
  exec->add_flag("-t,--tty", p.stream.tty, "on a terminal; ctrl-p ctrl-q leaves it running");
  exec->add_option("--timeout", p.exec.timeout_seconds, "seconds after which it is killed (0: never)")
      ->check(CLI::NonNegativeNumber);
  exec->add_option("COMMAND", p.stream.command, "the program and its arguments")->required();
  exec->callback([&p] {
    p.command = [&p]() -> Result<int> {
      const bool streams = p.stream.want_stdin || p.stream.tty;
      if (p.exec.timeout_seconds == 0 && !p.global.json) return cli::ExecStream(p.global, p.stream);
      if (streams) {
        return fermata::Error::Make(fermata::ErrorCode::kInvalidArgument, "--timeout and --json go without -i and -t");
      }
      return cli::Exec(p.global, {p.stream.pod, p.stream.container, p.stream.command, p.exec.timeout_seconds});
    };
  });

  CLI::App* attach =
      app.add_subcommand("attach", "See what a container writes from now on; its exit status is ours if it ends");
  attach->add_option("POD", p.stream.pod, "name or id")->required();
  attach->add_option("-c,--container", p.stream.container, "this container");
  attach->add_flag("-i,--stdin", p.stream.want_stdin, "with our standard input; ctrl-p ctrl-q leaves");
  attach->callback([&p] { p.command = [&p] { return cli::Attach(p.global, p.stream); }; });

  CLI::App* forward = app.add_subcommand("port-forward", "Make ports of a pod reachable on this machine's loopback");
  forward->add_option("POD", p.stream.pod, "name or id")->required();
  forward->add_option("PORT", p.names, "LOCAL:REMOTE, or one number for both; local 0: any")->required();
  forward->callback([&p] { p.command = [&p] { return cli::PortForward(p.global, p.stream.pod, p.names); }; });
}

void AddOtherCommands(CLI::App& app, Parsed& p) {
  CLI::App* completion = app.add_subcommand(
      "completion", "Print what makes a shell complete our commands; for bash: source <(fermata completion bash)");
  completion->add_option("SHELL", p.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([&p] { p.command = [&p] { return cli::Completion(p.shell); }; });

  CLI::App* generate = app.add_subcommand("generate", "Print files for other programs");
  generate->require_subcommand(1);
  CLI::App* systemd = generate->add_subcommand(
      "systemd",
      "Print a unit that runs a manifest, or that starts a pod which is there at boot, from the manifest "
      "that the daemon keeps; for /etc/systemd/system/NAME.service");
  systemd->add_option("FILE|POD", p.run.file, "Pod YAML, or the name or id of a pod")->required();
  systemd->callback([&p] { p.command = [&p] { return cli::GenerateSystemd(p.global, p.run.file); }; });

  app.add_subcommand("info", "Show the daemon and the machine")->callback([&p] {
    p.command = [&p] { return cli::Info(p.global); };
  });
  app.add_subcommand("version", "Show the version")->callback([&p] {
    p.command = [&p] { return cli::Version(p.global); };
  });
}

// `exec POD COMMAND...`: what follows the pod belongs to the command, also what looks like an option of ours; "--"
// says so to the parser.
std::vector<std::string> SeparateCommand(std::vector<std::string> arguments) {
  auto at = std::find(arguments.begin(), arguments.end(), "exec");
  if (at == arguments.end()) return arguments;
  for (++at; at != arguments.end(); ++at) {
    const bool takes_value = *at == "-c" || *at == "--container" || *at == "--timeout" || *at == "--socket";
    if (takes_value && at + 1 != arguments.end()) {
      ++at;
    } else if (!at->starts_with('-')) {
      break;  // the pod
    }
  }
  if (at == arguments.end() || at + 1 == arguments.end() || (at + 1)->starts_with('-')) return arguments;
  arguments.insert(at + 1, "--");
  return arguments;
}

void AddAll(CLI::App& app, Parsed& parsed) {
  app.require_subcommand(1);
  app.add_option("--socket", parsed.global.socket,
                 "the daemon's socket, PATH or unix://PATH (environment: FERMATA_SOCKET; "
                 "default: /run/fermata/fermata.sock, where a daemon is started if none answers)");
  app.add_flag("--json", parsed.global.json, "the same as -o json, where there is something to list or to show");
  app.fallthrough();
  AddPodCommands(app, parsed);
  AddLookCommands(app, parsed);
  AddContainerCommands(app, parsed);
  cli::AddProbeCommands(app, parsed.global, parsed.command);
  cli::AddImageCommands(app, parsed.global, parsed.command);
  AddStreamCommands(app, parsed);
  cli::AddNetworkCommands(app, parsed.global, parsed.command);
  cli::AddSystemCommands(app, parsed.global, parsed.command);
  cli::AddConfigCommands(app, parsed.global, parsed.command);
  AddOtherCommands(app, parsed);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("fermata - pods without Kubernetes, and a look at the container runtime that serves it");
  Parsed parsed;
  AddAll(app, parsed);
  if (argc > 2 && std::string_view(argv[1]) == cli::kCompleteCommand) {  // asked by what `completion` prints
    return cli::PrintCandidates(app, {argv + 3, argv + argc});
  }
  std::vector<std::string> arguments = SeparateCommand({argv + 1, argv + argc});
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? 0 : 125;
  }
  if (parsed.global.json && parsed.global.output.empty()) parsed.global.output = "json";
  parsed.global.json = parsed.global.output == "json";
  const Result<int> status = parsed.command();
  if (status) return *status;
  // A manifest's errors come in one text, a line each.
  std::istringstream lines(status.error().message());
  for (std::string line; std::getline(lines, line);) std::cerr << "fermata: " << cli::Printable(line) << "\n";
  return 125;  // ours, as podman's: what a container ends with stays distinguishable
}
