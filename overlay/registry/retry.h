// When a request is tried again: how long to wait, and for which answers it is worth it. Pure but for the jitter.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace fermata::overlay {

inline constexpr std::chrono::milliseconds kMaxRetryAfter = std::chrono::minutes(5);

// A Retry-After header: seconds, or a date which counts from `now` (seconds since 1970: of the answer's Date header,
// so that a wrong clock here does not matter). At most kMaxRetryAfter; nothing for what is neither.
std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view text, std::chrono::seconds now);
// "Sun, 06 Nov 1994 08:49:37 GMT" in seconds since 1970.
std::optional<std::chrono::seconds> ParseHttpDate(std::string_view text);

// Full jitter: anything from zero to `first` doubled `attempt` times, at most 30 s.
std::chrono::milliseconds RetryDelay(std::chrono::milliseconds first, unsigned attempt);

// 408, 429, 500, 502, 503, 504.
bool IsPassing(int status);

}  // namespace fermata::overlay
