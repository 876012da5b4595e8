#include "cri/cli/top.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "cri/cli/client.h"
#include "cri/cli/output.h"
#include "cri/cli/terminal.h"
#include "runtime/base/unique_fd.h"

namespace fermata::cri::cli {
namespace {

constexpr int kFirstMs = 1100;  // a rate of CPU needs two looks, a second apart (sandbox/stats/cpu_rate.h)
constexpr int kPeriodMs = 2000;
constexpr const char* kUnknown = "-";

std::string CpuText(const fv1::Usage& usage) {
  if (!usage.has_cpu_nano_cores()) return kUnknown;
  return fmt::format("{}m", (usage.cpu_nano_cores() + 500'000) / 1'000'000);
}

std::string MemoryText(const fv1::Usage& usage) {
  if (!usage.has_memory_bytes()) return kUnknown;
  const std::string used = HumanBytes(usage.memory_bytes());
  return usage.has_memory_limit_bytes() ? used + " / " + HumanBytes(usage.memory_limit_bytes()) : used;
}

// CPU, memory, I/O.
std::string PressureText(const fv1::Usage& usage) {
  const auto part = [](bool known, double percent) { return known ? fmt::format("{:.0f}", percent) : kUnknown; };
  return part(usage.has_cpu_pressure(), usage.cpu_pressure()) + "/" +
         part(usage.has_memory_pressure(), usage.memory_pressure()) + "/" +
         part(usage.has_io_pressure(), usage.io_pressure());
}

std::string ProcessesText(const fv1::Usage& usage) {
  return usage.has_processes() ? std::to_string(usage.processes()) : kUnknown;
}

std::string NetText(const fv1::PodStats& pod) {
  if (!pod.has_received_bytes()) return kUnknown;
  return HumanBytes(pod.received_bytes()) + " / " + HumanBytes(pod.sent_bytes());
}

std::string ProbesText(const fv1::ContainerStats& container, bool bars) {
  std::string text;
  for (const fv1::ProbeHistory& probe : container.probes()) text += (text.empty() ? "" : " ") + ProbeText(probe, bars);
  return text;
}

Result<fv1::PodStatsResponse> Fetch(const Client& client, const std::string& pod) {
  grpc::ClientContext context;
  fv1::PodStatsRequest request;
  fv1::PodStatsResponse response;
  request.set_pod(pod);
  RETURN_IF_ERROR(ToResult(client.pods->Stats(&context, request, &response)));
  return response;
}

// False when a signal came that ends us.
bool WaitFor(const UniqueFd& signals, int milliseconds) {
  pollfd wait{signals.get(), POLLIN, 0};
  return ::poll(&wait, 1, milliseconds) == 0;
}

UniqueFd EndSignals() {
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, SIGINT);
  ::sigaddset(&mask, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  return UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC));
}

// The terminal's other screen for as long as this lives, without a cursor.
class Screen {
 public:
  Screen() { std::cout << "\x1b[?1049h\x1b[?25l" << std::flush; }
  ~Screen() { std::cout << "\x1b[?25h\x1b[?1049l" << std::flush; }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  static void Draw(const Listing& listing) {
    std::vector<std::vector<std::string>> table(1);
    for (const Column& column : listing.columns) table[0].push_back(column.title);
    table.insert(table.end(), listing.rows.begin(), listing.rows.end());
    constexpr std::pair<unsigned, unsigned> kUsual{80, 24};
    const auto [columns, lines] = TerminalSize().value_or(kUsual);
    std::string text = FormatTable(table);
    std::string drawn = "\x1b[H";
    for (unsigned line = 0; line + 1 < lines && !text.empty(); ++line) {
      const size_t end = text.find('\n');
      drawn += Clipped(text.substr(0, end), columns) + "\x1b[K\r\n";
      text.erase(0, end + 1);
    }
    std::cout << drawn << "\x1b[J" << std::flush;
  }
};

}  // namespace

std::string ProbeText(const fv1::ProbeHistory& probe, bool bars) {
  if (!bars) return Printable(probe.type()) + ":" + Printable(probe.results());
  std::string text = Printable(probe.type()) + ":";
  for (const char result : probe.results()) text += result == '+' ? "\u2588" : result == '-' ? "\u2581" : "\u2592";
  return text;
}

std::string Clipped(const std::string& line, size_t columns) {
  size_t size = 0;
  for (size_t shown = 0; size < line.size(); ++size) {
    const bool begins = (static_cast<unsigned char>(line[size]) & 0xc0) != 0x80;
    if (begins && ++shown > columns) break;
  }
  return line.substr(0, size);
}

Listing TopListing(const fv1::PodStatsResponse& stats, bool containers, bool bars) {
  Listing listing;
  listing.kind = "pod";
  listing.columns = {{"NAME", "Name"},         {"CPU", "CPU"},          {"MEMORY", "Memory"},     {"PIDS", "PIDs"},
                     {"PRESSURE", "Pressure"}, {"NET IN / OUT", "Net"}, {"RESTARTS", "Restarts"}, {"PROBES", "Probes"}};
  for (const fv1::PodStats& pod : stats.pods()) {
    std::string probes;
    for (const fv1::ContainerStats& container : pod.containers()) {
      const std::string text = ProbesText(container, bars);
      if (!text.empty()) probes += (probes.empty() ? "" : " ") + text;
    }
    listing.rows.push_back({Printable(pod.name()), CpuText(pod.usage()), MemoryText(pod.usage()),
                            ProcessesText(pod.usage()), PressureText(pod.usage()), NetText(pod),
                            std::to_string(pod.restarts()), containers ? "" : probes});
    if (!containers) continue;
    for (const fv1::ContainerStats& each : pod.containers()) {
      listing.rows.push_back({"  " + Printable(each.name()), CpuText(each.usage()), MemoryText(each.usage()),
                              ProcessesText(each.usage()), PressureText(each.usage()), "",
                              std::to_string(each.restarts()), ProbesText(each, bars)});
    }
  }
  return listing;
}

Result<int> Top(const Global& global, const TopOptions& options) {
  const UniqueFd signals = EndSignals();  // before any thread is there
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  ASSIGN_OR_RETURN(fv1::PodStatsResponse stats, Fetch(client, options.pod));
  const bool containers = !options.pod.empty();
  const bool live =
      ::isatty(STDOUT_FILENO) != 0 && !options.no_stream && global.output.empty() && global.format.empty();
  if (!live) {
    if (WaitFor(signals, kFirstMs)) {
      ASSIGN_OR_RETURN(stats, Fetch(client, options.pod));
    }
    return PrintListing(global, TopListing(stats, containers, false), stats);
  }
  const Screen screen;
  for (int wait = kFirstMs;; wait = kPeriodMs) {
    Screen::Draw(TopListing(stats, containers, true));
    if (!WaitFor(signals, wait)) return 0;
    ASSIGN_OR_RETURN(stats, Fetch(client, options.pod));
  }
}

}  // namespace fermata::cri::cli
