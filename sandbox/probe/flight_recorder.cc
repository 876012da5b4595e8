#include "sandbox/probe/flight_recorder.h"

#include <algorithm>

#include "runtime/base/printable.h"

namespace fermata::sandbox::probe {
namespace {

std::optional<Waiting> WaitingOf(const std::optional<cgroups::Pressure>& pressure) {
  if (!pressure) return std::nullopt;
  return Waiting{pressure->some.average10, pressure->full.average10};
}

// Counters of a group that was made again begin anew.
std::optional<uint64_t> Difference(const std::optional<uint64_t>& before, const std::optional<uint64_t>& now) {
  if (!before || !now || *now < *before) return std::nullopt;
  return *now - *before;
}

}  // namespace

void FlightRecorder::Record(const std::string& container, ProbeType type, const ProbeReport& report,
                            const std::optional<cgroups::Contention>& contention, FlightEnd end) {
  Flight flight;
  flight.at_ns = end.wall_ns - report.latency.count();
  flight.lateness = report.lateness;
  flight.latency = report.latency;
  flight.outcome = report.result.outcome;
  flight.output = OneLine(report.result.output, kFlightOutputBytes);
  flight.streak = report.streak;
  flight.changed = report.changed;
  flight.container = report.container;
  const cgroups::Contention now = contention.value_or(cgroups::Contention());
  flight.cpu = WaitingOf(now.cpu_pressure);
  flight.memory = WaitingOf(now.memory_pressure);
  flight.io = WaitingOf(now.io_pressure);

  const std::lock_guard lock(mutex_);
  Track& track = tracks_[{container, type}];
  if (!track.flights.empty() && track.flights.back().container == report.container) {
    flight.since = end.steady - track.read_at;
    flight.throttled_periods = Difference(track.throttled_periods, now.throttled_periods);
    flight.throttled_us = Difference(track.throttled_us, now.throttled_us);
  }
  track.throttled_periods = now.throttled_periods;
  track.throttled_us = now.throttled_us;
  track.read_at = end.steady;
  flight.number = ++track.last_number;
  track.flights.push_back(std::move(flight));
  if (track.flights.size() > kFlightsKept) track.flights.pop_front();
}

std::vector<Flight> FlightRecorder::Last(const std::string& container, ProbeType type, size_t most) const {
  const std::lock_guard lock(mutex_);
  const auto found = tracks_.find({container, type});
  if (found == tracks_.end()) return {};
  const std::deque<Flight>& flights = found->second.flights;
  return {flights.end() - static_cast<ptrdiff_t>(std::min(most, flights.size())), flights.end()};
}

std::chrono::nanoseconds Percentile(std::vector<std::chrono::nanoseconds> values, int percent) {
  constexpr size_t kWhole = 100;
  if (values.empty()) return {};
  std::ranges::sort(values);
  const size_t rank = (values.size() * static_cast<size_t>(percent) + kWhole - 1) / kWhole;
  return values[std::max<size_t>(rank, 1) - 1];
}

}  // namespace fermata::sandbox::probe
