#include "cri/cli/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace fermata::cri::cli {

std::string Printable(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
      safe += fmt::format("\\x{:02x}", byte);
    } else {
      safe.push_back(c);
    }
  }
  return safe;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    text += '\n';
  }
  return text;
}

std::string Age(int64_t unix_ns, int64_t now_ns) {
  if (unix_ns == 0) return "-";
  const int64_t seconds = std::max<int64_t>(0, (now_ns - unix_ns) / 1'000'000'000);
  struct Unit {
    int64_t seconds;
    const char* name;
  };
  constexpr std::array kUnits = {Unit{86400, "day"}, Unit{3600, "hour"}, Unit{60, "minute"}};
  for (const Unit& unit : kUnits) {
    const int64_t count = seconds / unit.seconds;
    if (count > 0) return fmt::format("{} {}{} ago", count, unit.name, count == 1 ? "" : "s");
  }
  return fmt::format("{} second{} ago", seconds, seconds == 1 ? "" : "s");
}

std::string HumanBytes(uint64_t bytes) {
  constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

PrefixedLines::PrefixedLines(std::vector<std::string> names, bool colour) {
  constexpr std::array kColours = {36, 33, 32, 35, 34, 96, 93, 92};
  if (names.size() < 2) return;
  size_t width = 0;
  for (const std::string& name : names) width = std::max(width, name.size());
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string padded = fmt::format("{:<{}} | ", names[i], width);
    prefixes_[names[i]] = colour ? fmt::format("\x1b[{}m{}\x1b[0m", kColours[i % kColours.size()], padded) : padded;
  }
}

std::string PrefixedLines::Prefix(const std::string& name) const {
  const auto found = prefixes_.find(name);
  return found == prefixes_.end() ? "" : found->second;
}

bool UseColour(int fd) {
  const char* off = std::getenv("NO_COLOR");
  return ::isatty(fd) != 0 && (off == nullptr || *off == '\0');
}

}  // namespace fermata::cri::cli
