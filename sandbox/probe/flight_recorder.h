// FlightRecorder: how the last runs of a pod's probes came out, and how the container and the prober fared meanwhile.
// In memory, kFlightsKept a probe, the oldest go first; each is some hundred bytes. Owned by who has the pod, and
// forgotten with it. Thread-safe; nothing here blocks.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cgroups/stats.h"
#include "sandbox/probe/prober.h"

namespace fermata::sandbox::probe {

inline constexpr size_t kFlightsKept = 50;
inline constexpr size_t kFlightOutputBytes = 256;

// Percent of the last ten seconds in which some, or all, had to wait for it.
struct Waiting {
  double some = 0, full = 0;
};

// What is not known, because the machine lacks the controller or pressure stall information, is absent.
struct Flight {
  uint64_t number = 0;                               // of this probe, from 1
  int64_t at_ns = 0;                                 // since 1970, when it began
  std::chrono::nanoseconds lateness{0}, latency{0};  // see ProbeReport
  Outcome outcome = Outcome::kUnknown;
  std::string output;    // printable, one line, cut
  int streak = 0;        // see ProbeReport
  bool changed = false;  // made what is believed of the container different
  ContainerId container;
  // Of the container's control group when the run had ended. Throttling is since the flight before of the same
  // instance, `since` ago.
  std::chrono::nanoseconds since{0};
  std::optional<uint64_t> throttled_periods, throttled_us;
  std::optional<Waiting> cpu, memory, io;
};

// When the run ended, by both clocks.
struct FlightEnd {
  int64_t wall_ns = 0;
  std::chrono::steady_clock::time_point steady;
};

class FlightRecorder {
 public:
  // `contention`: of the container, read just now; nullopt: nothing could be read.
  void Record(const std::string& container, ProbeType type, const ProbeReport& report,
              const std::optional<cgroups::Contention>& contention, FlightEnd end);
  // The last `most` of them, the oldest first.
  [[nodiscard]] std::vector<Flight> Last(const std::string& container, ProbeType type,
                                         size_t most = kFlightsKept) const;

 private:
  struct Track {
    std::deque<Flight> flights;
    uint64_t last_number = 0;
    // As of the last flight.
    std::optional<uint64_t> throttled_periods, throttled_us;
    std::chrono::steady_clock::time_point read_at;
  };
  mutable std::mutex mutex_;  // guards tracks_
  std::map<std::pair<std::string, ProbeType>, Track> tracks_;
};

// What `percent` of the values do not exceed (nearest rank); 0 of none.
std::chrono::nanoseconds Percentile(std::vector<std::chrono::nanoseconds> values, int percent);

}  // namespace fermata::sandbox::probe
