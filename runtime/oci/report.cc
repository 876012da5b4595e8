// state, list, ps, events: what is known of containers, printed.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "cgroups/stats.h"
#include "runtime/base/file.h"
#include "runtime/oci/commands.h"
#include "runtime/oci/state_store.h"

namespace fermata::runtime::oci {
namespace {

void PrintTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const size_t pad = i + 1 == row.size() ? 0 : widths[i] - row[i].size() + 3;
      std::cout << row[i] << std::string(pad, ' ');
    }
    std::cout << "\n";
  }
}

// In runc's form, as far as control groups v2 know the numbers.
Json StatsJson(const cgroups::Stats& stats) {
  Json json = Json::object();
  if (stats.cpu) {
    json["cpu"] = {{"usage",
                    {{"total", stats.cpu->usage_us * 1000},
                     {"kernel", stats.cpu->system_us * 1000},
                     {"user", stats.cpu->user_us * 1000}}},
                   {"throttling",
                    {{"periods", stats.cpu->periods},
                     {"throttledPeriods", stats.cpu->throttled_periods},
                     {"throttledTime", stats.cpu->throttled_us * 1000}}}};
  }
  if (stats.memory) {
    json["memory"] = {
        {"usage", {{"usage", stats.memory->usage_bytes}, {"limit", stats.memory->limit_bytes.value_or(UINT64_MAX)}}},
        {"workingSet", stats.memory->working_set_bytes}};
  }
  if (stats.pids) json["pids"] = {{"current", *stats.pids}};
  if (stats.io) {
    json["blkio"] = {{"readBytes", stats.io->read_bytes}, {"writeBytes", stats.io->write_bytes}};
  }
  return json;
}

Result<> PrintStats(const ContainerState& state, const cgroups::Cgroup& group) {
  ASSIGN_OR_RETURN(const cgroups::Stats stats, cgroups::Read(group));
  std::cout << Json{{"type", "stats"}, {"id", state.id}, {"data", StatsJson(stats)}} << std::endl;
  return {};
}

// How many OOM kills the group has seen; 0 without the memory controller.
uint64_t OomKills(const cgroups::Cgroup& group) {
  const auto text = ReadFileAt(group.fd(), "memory.events");
  if (!text) return 0;
  const size_t at = text->find("oom_kill ");
  return at == std::string::npos ? 0 : std::strtoull(text->c_str() + at + 9, nullptr, 10);
}

Result<UniqueFd> Ticker(int seconds) {
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const itimerspec interval{{seconds, 0}, {seconds, 0}};
  if (!timer.valid() || ::timerfd_settime(timer.get(), 0, &interval, nullptr) != 0) return Error::Errno("timerfd");
  return timer;
}

}  // namespace

Result<> State(const Global& global, const std::string& id) {
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  ASSIGN_OR_RETURN(const ContainerState state, store.Load(id));
  ASSIGN_OR_RETURN(const Status status, StatusOf(store, state));
  std::cout << StateJson(state, status).dump(2) << "\n";
  return {};
}

Result<> List(const Global& global, ListFormat format) {
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, store.List());
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows = {{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const std::string& id : ids) {
    const auto state = store.Load(id);
    if (!state) continue;  // being made or removed at this moment
    const auto status = StatusOf(store, *state);
    if (!status) continue;
    const Json json = StateJson(*state, *status);
    rows.push_back({id, std::to_string(json.at("pid").get<pid_t>()), std::string(StatusText(*status)), state->bundle,
                    state->created, "root"});
    all.push_back(json);
  }
  switch (format) {
    case ListFormat::kTable:
      PrintTable(rows);
      break;
    case ListFormat::kJson:
      std::cout << all << "\n";
      break;
    case ListFormat::kQuiet:
      for (size_t i = 1; i < rows.size(); ++i) std::cout << rows[i].front() << "\n";
      break;
  }
  return {};
}

Result<> Processes(const Global& global, const std::string& id, bool json) {
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  ASSIGN_OR_RETURN(const ContainerState state, store.Load(id));
  ASSIGN_OR_RETURN(const cgroups::Cgroup group, GroupOf(state));
  ASSIGN_OR_RETURN(const std::vector<pid_t> processes, group.ProcessesBelow());
  if (json) {
    std::cout << Json(processes) << "\n";
    return {};
  }
  std::vector<std::vector<std::string>> rows = {{"PID", "CMD"}};
  for (const pid_t pid : processes) {
    auto command = ReadFileAt(AT_FDCWD, "/proc/" + std::to_string(pid) + "/cmdline");
    if (!command) continue;  // it has just ended
    // The process chose these bytes; a terminal must not obey them.
    std::ranges::replace_if(
        *command, [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
    rows.push_back({std::to_string(pid), *command});
  }
  PrintTable(rows);
  return {};
}

Result<> Events(const Global& global, const std::string& id, bool once, int interval_seconds) {
  ASSIGN_OR_RETURN(StateStore store, StateStore::Open(global.root));
  ASSIGN_OR_RETURN(const ContainerState state, store.Load(id));
  const auto process = ProcessOf(state);
  if (!process) return Error::Make(ErrorCode::kFailedPrecondition, "container ", id, " is not running");
  ASSIGN_OR_RETURN(const cgroups::Cgroup group, GroupOf(state));
  if (once) return PrintStats(state, group);
  ASSIGN_OR_RETURN(const UniqueFd timer, Ticker(interval_seconds));
  const auto memory = OpenAt(group.fd(), "memory.events", O_RDONLY);  // not there without the controller
  pollfd wanted[3] = {{process->get(), POLLIN, 0}, {timer.get(), POLLIN, 0}, {memory ? memory->get() : -1, POLLPRI, 0}};
  uint64_t kills = OomKills(group);
  for (;;) {
    if (::poll(wanted, 3, -1) < 0 && errno != EINTR) return Error::Errno("poll");
    if (const uint64_t now = OomKills(group); now > kills) {
      kills = now;
      std::cout << Json{{"type", "oom"}, {"id", state.id}} << std::endl;
    }
    if (wanted[0].revents != 0) return {};
    uint64_t ticks = 0;
    if (wanted[1].revents != 0 && ::read(timer.get(), &ticks, sizeof ticks) > 0) {
      RETURN_IF_ERROR(PrintStats(state, group));
    }
  }
}

}  // namespace fermata::runtime::oci
