#include "cri/cli/system_commands.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <iostream>
#include <memory>

#include "cri/cli/client.h"
#include "cri/cli/doctor.h"
#include "cri/cli/output.h"
#include "cri/cli/stats_table.h"
#include "runtime/base/unique_fd.h"

namespace fermata::cri::cli {
namespace {

struct StatsOptions {
  std::vector<std::string> names;
  bool once = false;
  int64_t interval_seconds = 2;
};

Result<fv1::StatsResponse> FetchStats(const Client& client, const std::vector<std::string>& names) {
  grpc::ClientContext context;
  fv1::StatsRequest request;
  fv1::StatsResponse response;
  for (const std::string& name : names) request.add_names(name);
  RETURN_IF_ERROR(ToResult(client.system->Stats(&context, request, &response)));
  return response;
}

// Ticks, until the user has had enough.
class Ticker {
 public:
  static Result<Ticker> Start(timespec interval) {
    Ticker ticker;
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM}) ::sigaddset(&signals, signal);
    (void)::sigprocmask(SIG_BLOCK, &signals, nullptr);
    ticker.signals_ = UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC));
    ticker.timer_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    const itimerspec times{interval, interval};
    if (!ticker.signals_.valid() || !ticker.timer_.valid() ||
        ::timerfd_settime(ticker.timer_.get(), 0, &times, nullptr) != 0) {
      return Error::Errno("timer");
    }
    return ticker;
  }
  // False: enough.
  [[nodiscard]] bool Next() const {
    std::array<pollfd, 2> entries = {{{timer_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
    while (::poll(entries.data(), entries.size(), -1) < 0) {
      if (errno != EINTR) return false;
    }
    if (entries[1].revents != 0) return false;
    uint64_t times = 0;
    return ::read(timer_.get(), &times, sizeof times) == sizeof times;
  }

 private:
  UniqueFd signals_, timer_;
};

void Show(const Global& global, const std::vector<UsageRow>& rows, bool live) {
  if (global.json) {
    std::cout << UsageJson(rows).dump(2, ' ', false, Json::error_handler_t::replace) << std::endl;
    return;
  }
  if (live) std::cout << "\x1b[H\x1b[J";  // from the top, nothing of before below
  std::cout << UsageTable(rows) << std::flush;
}

// A rate needs two looks. Once: half a second apart; live: the first one shows none.
Result<int> Stats(const Global& global, const StatsOptions& options) {
  constexpr long kHalfSecond = 500'000'000;
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  const bool live = ::isatty(STDOUT_FILENO) == 1 && !global.json;
  const bool once = options.once || !live;
  ASSIGN_OR_RETURN(fv1::StatsResponse before, FetchStats(client, options.names));
  if (!once) Show(global, UsageRows(nullptr, before), live);
  ASSIGN_OR_RETURN(const Ticker ticker,
                   Ticker::Start(once ? timespec{0, kHalfSecond} : timespec{options.interval_seconds, 0}));
  while (ticker.Next()) {
    ASSIGN_OR_RETURN(fv1::StatsResponse now, FetchStats(client, options.names));
    Show(global, UsageRows(&before, now), live && !once);
    if (once) return 0;
    before = std::move(now);
  }
  return 0;
}

std::string Ids(const fv1::OperationInfo& operation) {
  std::string text;
  for (const char* name : {"pod", "sandbox", "container", "image"}) {
    const auto id = operation.ids().find(name);
    if (id != operation.ids().end()) text += (text.empty() ? "" : " ") + std::string(name) + "=" + id->second;
  }
  return text;
}

void PrintDebug(const fv1::DebugResponse& debug) {
  std::cout << FormatTable(
      {{"version", debug.version()},
       {"pid", std::to_string(debug.pid())},
       {"started", Age(debug.started_at_unix_nanos(), NowNs())},
       {"memory", HumanBytes(debug.memory().resident_bytes()) + " resident, " +
                      HumanBytes(debug.memory().proportional_bytes()) + " proportional"},
       {"threads", std::to_string(debug.threads())},
       {"metrics", debug.metrics_url().empty() ? "no page (metrics.address)" : debug.metrics_url()}});
  std::vector<std::vector<std::string>> rows = {{"OPERATION", "AGE", "STAGE", "PATH", "ABOUT"}};
  for (const fv1::OperationInfo& one : debug.operations()) {
    rows.push_back({one.name(), fmt::format("{:.3f} s", static_cast<double>(one.age_micros()) / 1e6),
                    one.stage().empty() ? "-" : Printable(one.stage()),
                    one.path().empty() ? "-" : Printable(one.path()), Printable(Ids(one))});
  }
  std::cout << "\n" << FormatTable(rows);
  rows = {{"QUEUE", "WAITING", "THREADS", "IDLE"}};
  for (const fv1::QueueInfo& one : debug.queues()) {
    rows.push_back(
        {one.name(), std::to_string(one.queued()), std::to_string(one.threads()), std::to_string(one.idle_threads())});
  }
  std::cout << "\n" << FormatTable(rows);
  rows = {{"OPEN FILES", "COUNT"}};
  for (const auto& [kind, count] : debug.open_files()) rows.push_back({Printable(kind), std::to_string(count)});
  rows.push_back({"limit", std::to_string(debug.max_open_files())});
  std::cout << "\n" << FormatTable(rows);
  rows = {{"MONITOR", "STATE", "POD", "POD ID"}};
  for (const fv1::MonitorInfo& one : debug.monitors()) {
    rows.push_back(
        {one.pid() == 0 ? "-" : std::to_string(one.pid()), one.state(), Printable(one.pod()), one.sandbox_id()});
  }
  std::cout << "\n" << FormatTable(rows);
  rows = {{"NETWORK DEBT", "KIND", "POD ID"}};
  for (const fv1::NetworkAttachment& one : debug.network_debts()) {
    rows.push_back({Printable(one.pod()), one.kind(), one.sandbox_id()});
  }
  std::cout << "\n" << FormatTable(rows);
  rows = {{"OBJECTS", "KNOWN", "FOUND", "OF NOBODY"}};
  for (const fv1::AuditInfo& one : debug.audit()) {
    rows.push_back({one.kind(), std::to_string(one.known()), std::to_string(one.found()),
                    one.unaccounted().empty() ? "-" : Printable(Joined(one.unaccounted(), " "))});
  }
  std::cout << "\n" << FormatTable(rows);
}

Result<int> DebugDump(const Global& global) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::DebugResponse response;
  RETURN_IF_ERROR(ToResult(client.system->Debug(&context, {}, &response)));
  if (global.json) return PrintJson(response);
  PrintDebug(response);
  return 0;
}

}  // namespace

void AddSystemCommands(CLI::App& app, const Global& global, std::function<Result<int>()>& command) {
  const auto options = std::make_shared<StatsOptions>();
  CLI::App* stats = app.add_subcommand("stats",
                                       "Show what running containers use: processor (100%: one of them), memory, "
                                       "network of their pod, block devices, processes. On a terminal until Ctrl-C");
  stats->add_option("NAME", options->names, "pods or containers: names, or ids or their beginnings (default: all)");
  stats->add_flag("--no-stream", options->once, "once, of half a second; so is --json, and what goes to no terminal");
  stats->add_option("--interval", options->interval_seconds, "seconds between two looks")
      ->capture_default_str()
      ->check(CLI::Range(1, 3600));
  stats->callback([&, options] { command = [&global, options] { return Stats(global, *options); }; });

  CLI::App* debug = app.add_subcommand("debug", "Look into the daemon");
  debug->require_subcommand(1);
  debug
      ->add_subcommand("dump",
                       "Print the operations under way with their stage and age, queues, open files, monitors, "
                       "networks that are owed, memory, and what of the machine belongs to no record")
      ->callback([&] { command = [&global] { return DebugDump(global); }; });

  AddDoctorCommand(app, global, command);
}

}  // namespace fermata::cri::cli
