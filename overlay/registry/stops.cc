#include "overlay/registry/stops.h"

#include <poll.h>

#include <algorithm>

namespace fermata::overlay {

bool Stops::stopped() const {
  return std::any_of(causes.begin(), causes.end(), [](const auto& cause) { return cause->flag().load(); });
}

Result<> Stops::Sleep(std::chrono::milliseconds duration) const {
  const auto end = std::chrono::steady_clock::now() + duration;
  std::vector<pollfd> entries;
  entries.reserve(causes.size());
  for (const auto& cause : causes) entries.push_back({cause->fd(), POLLIN, 0});
  for (;;) {
    if (stopped()) return Error::Make(ErrorCode::kCancelled, "cancelled");
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return {};
    if (::poll(entries.data(), entries.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) {
      return Error::Errno("poll");
    }
  }
}

}  // namespace fermata::overlay
