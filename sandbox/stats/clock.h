// The two times of a reading: one to show, one to calculate with, which nobody can set. Tests bring their own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace fermata::sandbox::stats {

struct Moment {
  int64_t wall_ns = 0;    // since 1970
  int64_t steady_ns = 0;  // since some moment
};
using Clock = std::function<Moment()>;

inline Moment Now() {
  const auto count = [](auto clock) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(clock.time_since_epoch()).count();
  };
  return {count(std::chrono::system_clock::now()), count(std::chrono::steady_clock::now())};
}

}  // namespace fermata::sandbox::stats
