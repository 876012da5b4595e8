#include "cri/cli/probe_table.h"

#include <fmt/format.h>

#include <ctime>

#include "cri/cli/output.h"

namespace fermata::cri::cli {
namespace {

namespace fv1 = ::fermata::v1;
using Shown = Column::Shown;

constexpr const char* kUnknown = "-";
constexpr int64_t kMicrosecond = 1000, kMillisecond = 1'000'000, kSecond = 1'000'000'000;

std::string OrUnknown(const std::string& text) { return text.empty() ? kUnknown : Printable(text); }

std::string LatencyText(const fv1::ProbeInfo& probe) {
  if (!probe.has_latency_p50_nanos()) return kUnknown;
  return DurationText(probe.latency_p50_nanos()) + " / " + DurationText(probe.latency_p99_nanos());
}

std::string LastText(const fv1::ProbeInfo& probe, int64_t now_ns) {
  if (probe.last_outcome().empty()) return kUnknown;
  return Printable(probe.last_outcome()) + " (" + ShortAge(probe.last_unix_nanos(), now_ns) + " ago)";
}

std::vector<std::string> ProbeRow(const fv1::ProbeInfo& probe, int64_t now_ns) {
  return {Printable(probe.pod()),
          Printable(probe.container()),
          Printable(probe.type()),
          Printable(probe.action()),
          OrUnknown(probe.state()),
          LastText(probe, now_ns),
          fmt::format("{}/{}", probe.failures(), probe.failure_threshold()),
          probe.has_lateness_p99_nanos() ? DurationText(probe.lateness_p99_nanos()) : kUnknown,
          LatencyText(probe),
          fmt::format("{}s", probe.period_seconds()),
          fmt::format("{}s", probe.timeout_seconds()),
          std::to_string(probe.runs()),
          Printable(probe.namespace_())};
}

// Local, to the millisecond.
std::string ClockText(int64_t unix_ns) {
  const time_t seconds = unix_ns / kSecond;
  tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%m-%d %H:%M:%S", &parts);
  return fmt::format("{}.{:03}", std::string_view(text, size), unix_ns % kSecond / kMillisecond);
}

std::string ThrottledText(const fv1::ProbeFlight& flight) {
  if (!flight.has_throttled_micros()) return kUnknown;
  return DurationText(static_cast<int64_t>(flight.throttled_micros()) * kMicrosecond);
}

std::string Some(bool known, const fv1::ProbePressure& pressure) {
  return known ? fmt::format("{:.0f}", pressure.some()) : kUnknown;
}
std::string Full(bool known, const fv1::ProbePressure& pressure) {
  return known ? fmt::format("{:.0f}", pressure.full()) : kUnknown;
}

// CPU, memory, I/O.
std::string PressureText(const fv1::ProbeFlight& flight, std::string (*part)(bool, const fv1::ProbePressure&)) {
  return part(flight.has_cpu(), flight.cpu()) + "/" + part(flight.has_memory(), flight.memory()) + "/" +
         part(flight.has_io(), flight.io());
}

std::vector<std::string> FlightRow(const fv1::ProbeInfo& probe, const fv1::ProbeFlight& flight) {
  return {std::to_string(flight.number()),
          ClockText(flight.unix_nanos()),
          Printable(probe.container()),
          Printable(probe.type()),
          Printable(flight.outcome()) + (flight.changed() ? "*" : ""),
          std::to_string(flight.streak()),
          DurationText(flight.lateness_nanos()),
          DurationText(flight.latency_nanos()),
          ThrottledText(flight),
          PressureText(flight, Some),
          OrUnknown(flight.output()),
          PressureText(flight, Full),
          flight.has_throttled_periods() ? std::to_string(flight.throttled_periods()) : kUnknown,
          Printable(flight.container_id())};
}

}  // namespace

std::string DurationText(int64_t nanoseconds) {
  const auto in = [&](int64_t unit) { return static_cast<double>(nanoseconds) / static_cast<double>(unit); };
  if (nanoseconds < kMillisecond) return fmt::format("{:.0f}us", in(kMicrosecond));
  if (nanoseconds < kSecond) return fmt::format("{:.1f}ms", in(kMillisecond));
  return fmt::format("{:.2f}s", in(kSecond));
}

Listing ProbeListing(const fv1::ListProbesResponse& probes, int64_t now_ns) {
  Listing listing;
  listing.kind = "pod";
  listing.columns = {{"POD", "Pod"},
                     {"CONTAINER", "Container"},
                     {"TYPE", "Type"},
                     {"HOW", "How"},
                     {"STATE", "State"},
                     {"LAST", "Last"},
                     {"FAILURES", "Failures"},
                     {"LATE P99", "Late"},
                     {"LATENCY P50 / P99", "Latency"},
                     {"PERIOD", "Period", Shown::kWide},
                     {"TIMEOUT", "Timeout", Shown::kWide},
                     {"RUNS", "Runs", Shown::kWide},
                     {"NAMESPACE", "Namespace", Shown::kWide}};
  for (const fv1::ProbeInfo& probe : probes.probes()) listing.rows.push_back(ProbeRow(probe, now_ns));
  return listing;
}

Listing FlightListing(const fv1::ProbeHistoryResponse& history) {
  Listing listing;
  listing.kind = "run";
  listing.columns = {{"RUN", "Run"},
                     {"TIME", "Time"},
                     {"CONTAINER", "Container"},
                     {"TYPE", "Type"},
                     {"OUTCOME", "Outcome"},
                     {"IN A ROW", "Row"},
                     {"LATE", "Late"},
                     {"LATENCY", "Latency"},
                     {"THROTTLED", "Throttled"},
                     {"PRESSURE", "Pressure"},
                     {"OUTPUT", "Output"},
                     {"FULL PRESSURE", "FullPressure", Shown::kWide},
                     {"THROTTLED PERIODS", "ThrottledPeriods", Shown::kWide},
                     {"CONTAINER ID", "ContainerID", Shown::kWide}};
  for (const fv1::ProbeFlights& probe : history.probes()) {
    for (const fv1::ProbeFlight& flight : probe.flights()) {
      listing.rows.push_back(FlightRow(probe.probe(), flight));
    }
  }
  return listing;
}

std::string VerdictLines(const fv1::ProbeHistoryResponse& history) {
  std::string text;
  for (const fv1::ProbeFlights& probe : history.probes()) {
    text += Printable(probe.probe().container()) + " " + Printable(probe.probe().type()) + ": " +
            Printable(probe.verdict()) + "\n";
  }
  return text;
}

}  // namespace fermata::cri::cli
