#include "runtime/base/signal_name.h"

#include <charconv>
#include <csignal>
#include <cstring>
#include <tuple>

namespace fermata {

Result<int> ParseSignal(const std::string& text) {
  if (text.empty()) return SIGTERM;
  const auto invalid = [&] { return Error::Make(ErrorCode::kInvalidArgument, "unknown signal ", text); };
  int number = 0;
  if (const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      error == std::errc{} && end == text.data() + text.size()) {
    if (number < 1 || number > 64) return invalid();
    return number;
  }
  const std::string name = text.starts_with("SIG") ? text.substr(3) : text;
  for (const auto& [prefix, base, sign] : {std::tuple{"RTMIN", 34, 1}, std::tuple{"RTMAX", 64, -1}}) {
    if (!name.starts_with(prefix)) continue;
    const std::string rest = name.substr(5);
    int offset = 0;
    if (!rest.empty()) {
      if (rest[0] != (sign > 0 ? '+' : '-')) return invalid();
      const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), offset);
      if (error != std::errc{} || end != rest.data() + rest.size() || offset > 30) return invalid();
    }
    return base + sign * offset;
  }
  for (int signal = 1; signal < 32; ++signal) {
    const char* known = ::sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  return invalid();
}

}  // namespace fermata
