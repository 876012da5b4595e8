#include "cri/cli/probe_commands.h"

#include <iostream>
#include <memory>

#include "cri/cli/client.h"
#include "cri/cli/listing.h"
#include "cri/cli/output.h"
#include "cri/cli/probe_table.h"

namespace fermata::cri::cli {
namespace {

struct Which {
  std::string pod, container, type;
};

Result<int> ListProbes(const Global& global, const std::string& pod) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::ListProbesRequest request;
  fv1::ListProbesResponse response;
  request.set_pod(pod);
  RETURN_IF_ERROR(ToResult(client.pods->ListProbes(&context, request, &response)));
  return PrintListing(global, ProbeListing(response, NowNs()), response);
}

Result<int> ShowHistory(const Global& global, const Which& which) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::ProbeHistoryRequest request;
  fv1::ProbeHistoryResponse response;
  request.set_pod(which.pod);
  request.set_container(which.container);
  request.set_type(which.type);
  RETURN_IF_ERROR(ToResult(client.pods->ProbeHistory(&context, request, &response)));
  ASSIGN_OR_RETURN(const int status, PrintListing(global, FlightListing(response), response));
  const bool for_people = global.format.empty() && (global.output.empty() || global.output == "wide");
  if (for_people) std::cout << VerdictLines(response);
  return status;
}

Result<int> RunProbe(const Global& global, const Which& which) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::RunProbeRequest request;
  fv1::RunProbeResponse response;
  request.set_pod(which.pod);
  request.set_container(which.container);
  request.set_type(which.type);
  RETURN_IF_ERROR(ToResult(client.pods->RunProbe(&context, request, &response)));
  if (global.output.empty()) {
    const std::string output = Printable(response.output());
    std::cout << Printable(response.outcome()) << " in " << DurationText(response.latency_nanos())
              << (output.empty() ? "" : ": " + output) << "\n";
  } else {
    RETURN_IF_ERROR(PrintMessage(global, response));
  }
  return response.outcome() == "success" || response.outcome() == "warning" ? 0 : 1;
}

void AddChoice(CLI::App& command, Which& which, const std::string& otherwise) {
  command.add_option("POD", which.pod, "name, or id or its beginning")->required();
  command.add_option("-c,--container", which.container, "of this container (default: " + otherwise + ")");
  command.add_option("--type", which.type, "startup, liveness or readiness (default: " + otherwise + ")")
      ->check(CLI::IsMember({"startup", "liveness", "readiness"}))
      ->option_text("TYPE");
}

}  // namespace

void AddProbeCommands(CLI::App& app, Global& global, std::function<Result<int>()>& command) {
  CLI::App* probe = app.add_subcommand("probe", "The probes of pods, and whom their failures are to be blamed on");
  probe->require_subcommand(1);
  const auto which = std::make_shared<Which>();

  CLI::App* list = probe->add_subcommand(
      "ls",
      "List probes: what is believed, how the last run came out, failures in a row of those that are needed, and of "
      "the last 50 runs how late they began and how long they took");
  list->add_option("POD", which->pod, "of this one: name or id (default: all)");
  AddListOptions(*list, global);
  list->callback([&, which] { command = [&global, which] { return ListProbes(global, which->pod); }; });

  CLI::App* history = probe->add_subcommand(
      "history",
      "Show the last 50 runs of probes, the newest last, since the daemon was started: how late each began after it "
      "was due, how long it took, for how long the container's CPU limit held it back since the run before, and in "
      "percent of the ten seconds before in which something of it waited for CPU/memory/disks. * is a run that "
      "changed what is believed. At the end: whether failures came while the prober or the container was starved, or "
      "are the application's");
  AddChoice(*history, *which, "all");
  AddListOptions(*history, global);
  history->callback([&, which] { command = [&global, which] { return ShowHistory(global, *which); }; });

  CLI::App* run = probe->add_subcommand(
      "run",
      "Run a probe now, with its own time-out; it counts for nothing and is not recorded. The exit status is 0 when "
      "it succeeds, 1 when it fails");
  AddChoice(*run, *which, "the only one");
  AddShowOptions(*run, global);
  run->callback([&, which] { command = [&global, which] { return RunProbe(global, *which); }; });
}

}  // namespace fermata::cri::cli
