// What a probe's recorded runs say of its failures: that the prober or the container had to wait, or that the
// application failed. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "sandbox/probe/flight_recorder.h"

namespace fermata::sandbox::probe {

enum class Blame : uint8_t {
  kNobody,       // nothing failed, or nothing was run
  kStarved,      // most failures came while something had to wait, and few successes did
  kApplication,  // most failures came while nothing had to wait
  kProbe,        // every one was an error of the probe itself
  kUnclear,      // something had to wait, but so it had when it succeeded
};
// "none", "starved", "application", "probe", "unclear".
const char* WordOf(Blame blame);

struct Judgement {
  Blame blame = Blame::kNobody;
  std::string text;  // one line for people
};

// From these on something is said to have had to wait.
inline constexpr std::chrono::milliseconds kLate{500};
inline constexpr double kThrottledPercent = 10;  // of the time since the run before
inline constexpr double kWaitingPercent = 20;    // for CPU, memory or disks

Judgement Judge(const std::vector<Flight>& flights);

}  // namespace fermata::sandbox::probe
