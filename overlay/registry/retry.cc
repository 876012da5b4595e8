#include "overlay/registry/retry.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <random>

namespace fermata::overlay {
namespace {

std::optional<int64_t> Number(std::string_view digits) {
  int64_t value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || digits.front() == '-' || failure != std::errc() || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return value;
}

std::string_view Trim(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const size_t end = text.find_last_not_of(" \t");
  return end == std::string_view::npos ? std::string_view() : text.substr(begin, end - begin + 1);
}

}  // namespace

// By hand: strptime(3) would read the names of days and months in the locale of the process.
std::optional<std::chrono::seconds> ParseHttpDate(std::string_view text) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  constexpr size_t kSize = std::string_view("Sun, 06 Nov 1994 08:49:37 GMT").size();
  if (text.size() != kSize || text.substr(3, 2) != ", " || !text.ends_with(" GMT")) return std::nullopt;
  const auto* const month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  const auto day = Number(text.substr(5, 2)), year = Number(text.substr(12, 4));
  const auto hour = Number(text.substr(17, 2)), minute = Number(text.substr(20, 2)),
             second = Number(text.substr(23, 2));
  if (month == kMonths.end() || !day || !year || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(month - kMonths.begin()) + 1),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view text, std::chrono::seconds now) {
  text = Trim(text);
  constexpr int64_t kMaxSeconds = std::chrono::duration_cast<std::chrono::seconds>(kMaxRetryAfter).count();
  if (const auto seconds = Number(text)) return std::chrono::seconds(std::min(*seconds, kMaxSeconds));
  const auto date = ParseHttpDate(text);
  if (!date) return std::nullopt;
  return std::chrono::seconds(std::clamp<int64_t>((*date - now).count(), 0, kMaxSeconds));
}

std::chrono::milliseconds RetryDelay(std::chrono::milliseconds first, unsigned attempt) {
  constexpr int64_t kMaxDelayMs = 30000;
  const int64_t most = std::min(first.count() << std::min(attempt, 16U), kMaxDelayMs);
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::chrono::milliseconds(std::uniform_int_distribution<int64_t>(0, std::max<int64_t>(most, 0))(random));
}

bool IsPassing(int status) {
  constexpr int kPassing[] = {408, 429, 500, 502, 503, 504};
  return std::find(std::begin(kPassing), std::end(kPassing), status) != std::end(kPassing);
}

}  // namespace fermata::overlay
