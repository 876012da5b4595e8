#include "sandbox/probe/flight_judgement.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace fermata::sandbox::probe {
namespace {

bool IsThrottled(const Flight& flight) {
  if (!flight.throttled_us || flight.since.count() <= 0) return false;
  const std::chrono::duration<double> throttled = std::chrono::microseconds(*flight.throttled_us);
  return 100 * throttled / std::chrono::duration<double>(flight.since) >= kThrottledPercent;
}
bool Waits(const std::optional<Waiting>& waiting) { return waiting && waiting->some >= kWaitingPercent; }

struct Sign {
  const char* text;
  bool (*shows)(const Flight& flight);
};
const std::array kSigns = {
    Sign{"the prober began late", [](const Flight& flight) { return flight.lateness >= kLate; }},
    Sign{"its CPU limit held the container back", IsThrottled},
    // The pressure of a group contains what its own limit does.
    Sign{"the container waited for the machine's processors",
         [](const Flight& flight) { return Waits(flight.cpu) && !IsThrottled(flight); }},
    Sign{"the container waited for memory", [](const Flight& flight) { return Waits(flight.memory); }},
    Sign{"the container waited for disks", [](const Flight& flight) { return Waits(flight.io); }},
};

bool ShowsAny(const Flight& flight) {
  return std::ranges::any_of(kSigns, [&](const Sign& sign) { return sign.shows(flight); });
}

// "in 3 the prober began late, in 1 the container waited for memory".
std::string SignsOf(const std::vector<Flight>& flights) {
  std::string text;
  for (const Sign& sign : kSigns) {
    const auto count = std::ranges::count_if(flights, sign.shows);
    if (count > 0) text += fmt::format("{}in {} {}", text.empty() ? "" : ", ", count, sign.text);
  }
  return text;
}

}  // namespace

const char* WordOf(Blame blame) {
  constexpr std::array kWords = {"none", "starved", "application", "probe", "unclear"};
  return kWords[static_cast<size_t>(blame)];
}

Judgement Judge(const std::vector<Flight>& flights) {
  std::vector<Flight> bad, good;
  for (const Flight& flight : flights) (IsGood(flight.outcome) ? good : bad).push_back(flight);
  if (flights.empty()) return {Blame::kNobody, "it has not run yet"};
  const std::string runs = fmt::format("{} of {} runs failed", bad.size(), flights.size());
  if (bad.empty()) return {Blame::kNobody, runs};

  const auto bad_waits = static_cast<size_t>(std::ranges::count_if(bad, ShowsAny));
  const auto good_waits = static_cast<size_t>(std::ranges::count_if(good, ShowsAny));
  if (2 * bad_waits < bad.size()) {
    if (std::ranges::all_of(bad, [](const Flight& flight) { return flight.outcome == Outcome::kError; })) {
      return {Blame::kProbe, runs + ": the probe itself did not work, which counts for nothing"};
    }
    const std::string waits = bad_waits == 0 ? "while nothing had to wait" : SignsOf(bad) + ", in the others nothing";
    return {Blame::kApplication, runs + ", " + waits + ": the application failed"};
  }
  // As shares of all bad and of all good ones.
  if (2 * good_waits * bad.size() > bad_waits * good.size()) {
    return {Blame::kUnclear, fmt::format("{}; {}; but something had to wait in {} of {} that succeeded, too: the "
                                         "application, or a limit or machine that is always too small",
                                         runs, SignsOf(bad), good_waits, good.size())};
  }
  return {Blame::kStarved,
          runs + "; " + SignsOf(bad) + ": starved by the machine or the limit, not by the application"};
}

}  // namespace fermata::sandbox::probe
