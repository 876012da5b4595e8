#include "sandbox/pods/restart_delay.h"

#include <algorithm>

namespace fermata::sandbox::pods {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kFirst = 10 * kSecond;
constexpr int64_t kLongest = 300 * kSecond;
constexpr int64_t kForgetAfter = 600 * kSecond;

int64_t Doubled(int64_t delay) { return std::min(2 * delay, kLongest); }

// The kill and the start are one pass, which looks at the instance before the killed one.
RestartDelay DelayOfKilled(const ContainerRecord& killed) {
  const int64_t delay = killed.spec.restart_delay_ns;
  const int64_t before = killed.spec.previous_finished_at_ns;
  if (before == 0) return {0, delay};
  if (delay == 0) return {0, kFirst};
  if (killed.marks.killed_at_ns - before >= delay) return {0, Doubled(delay)};
  return {killed.finished_at_ns + delay, Doubled(delay)};
}

}  // namespace

RestartDelay DelayOf(const ContainerRecord& exited) {
  if (exited.marks.killed_at_ns != 0) return DelayOfKilled(exited);
  const int64_t delay = exited.spec.restart_delay_ns;
  const bool forgotten = exited.finished_at_ns - exited.created_at_ns > kForgetAfter;
  if (delay == 0 || forgotten) return {0, kFirst};
  return {exited.finished_at_ns + delay, Doubled(delay)};
}

}  // namespace fermata::sandbox::pods
