#include "cri/cli/output.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <iostream>

namespace fermata::cri::cli {

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

std::string ShortAge(int64_t unix_ns, int64_t now_ns) {
  if (unix_ns == 0) return "-";
  struct Unit {
    int64_t seconds, until;  // used below so many of it
    int64_t detailed_until;  // below so many, with the next smaller unit
    const char *name, *smaller_name;
    int64_t smaller_seconds;
  };
  constexpr std::array kUnits = {Unit{1, 120, 0, "s", "", 1}, Unit{60, 180, 10, "m", "s", 1},
                                 Unit{3600, 48, 8, "h", "m", 60}, Unit{86400, INT64_MAX, 8, "d", "h", 3600}};
  const int64_t seconds = std::max<int64_t>(0, (now_ns - unix_ns) / 1'000'000'000);
  for (const Unit& unit : kUnits) {
    const int64_t count = seconds / unit.seconds;
    if (count >= unit.until) continue;
    const int64_t rest = seconds % unit.seconds / unit.smaller_seconds;
    const bool detailed = count < unit.detailed_until && rest > 0;
    return fmt::format("{}{}", count, unit.name) + (detailed ? fmt::format("{}{}", rest, unit.smaller_name) : "");
  }
  return "-";  // the last unit has no end
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

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string JsonOf(const google::protobuf::Message& message, bool pretty) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = pretty;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  (void)google::protobuf::util::MessageToJsonString(message, &text, options);  // our own message: cannot fail
  return text;
}

Result<int> PrintJson(const google::protobuf::Message& message) {
  std::cout << JsonOf(message, true);
  return 0;
}

std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& words, const char* separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

std::string ShortImageId(const std::string& id) {
  constexpr std::string_view kPrefix = "sha256:";
  constexpr size_t kShortId = 12;
  return id.substr(id.starts_with(kPrefix) ? kPrefix.size() : 0, kShortId);
}

}  // namespace fermata::cri::cli
