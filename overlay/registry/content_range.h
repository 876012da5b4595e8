// Content-Range of an answer 206: "bytes 100-199/200". Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fermata::overlay {

struct ContentRange {
  uint64_t first = 0, last = 0;
  std::optional<uint64_t> total;  // nothing for "*"
};

std::optional<ContentRange> ParseContentRange(std::string_view text);
// Digits and nothing else.
std::optional<uint64_t> ParseSize(std::string_view text);

}  // namespace fermata::overlay
