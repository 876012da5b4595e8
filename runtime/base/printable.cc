#include "runtime/base/printable.h"

#include <algorithm>

namespace fermata {
namespace {

// How many bytes at the front are one character that may be shown; 0 if there is none.
size_t ShownBytes(std::string_view text) {
  const auto at = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = at(0);
  if (first < 0x80) return (first < 0x20 && first != '\t') || first == 0x7f ? 0 : 1;
  const size_t size = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first >= 0xf5) return 0;
  unsigned code = first & (0x7fU >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (at(i) & 0x3f);
  }
  // The second set of control codes, line separators, and what turns the direction of writing.
  const bool hidden = code < 0xa0 || code == 0x61c || (code >= 0x200e && code <= 0x200f) ||
                      (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
  return hidden ? 0 : size;
}

}  // namespace

std::string Printable(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string safe;
  while (!text.empty()) {
    const size_t size = ShownBytes(text);
    if (size == 0) {
      const unsigned byte = static_cast<unsigned char>(text.front());
      safe += {'\\', 'x', kDigits[byte / 16], kDigits[byte % 16]};
    } else {
      safe += text.substr(0, size);
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return safe;
}

std::string OneLine(std::string_view text, size_t limit) {
  const size_t end = text.find_last_not_of(" \t\r\n");
  std::string line(text.substr(0, end == std::string_view::npos ? 0 : end + 1));
  std::ranges::replace_if(
      line, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  const bool cut = line.size() > limit;
  if (cut) {
    size_t size = limit;
    while (size > 0 && (static_cast<unsigned char>(line[size]) & 0xc0) == 0x80) --size;  // between two characters
    line.resize(size);
  }
  return Printable(line) + (cut ? "..." : "");
}

}  // namespace fermata
