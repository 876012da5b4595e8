// Tars byte by byte, for what no honest program writes. Keeps no state.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fermata::overlay::testing {

inline std::string Padded(std::string data) {
  data.resize((data.size() + 511) / 512 * 512, '\0');
  return data;
}

inline std::string Octal(uint64_t value, size_t width) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", static_cast<int>(width - 1), static_cast<unsigned long long>(value));
  return text;
}

// The fields of one header, as text of the right width or shorter; empty ones are left zero.
struct RawHeader {
  std::string name = "f";
  char type = '0';
  uint64_t size = 0;
  std::string link = {};
  std::string prefix = {};
  std::string size_field = {};  // instead of size
  std::string uid_field = Octal(0, 8);
  std::string gid_field = Octal(0, 8);
  std::string major_field = Octal(0, 8), minor_field = Octal(0, 8);
  std::string magic = std::string(
      "ustar\0"
      "00",
      8);
  std::vector<std::pair<size_t, std::string>> patches = {};  // offset and bytes, before the checksum
  int sum_error = 0;
};

inline std::string HeaderBlock(const RawHeader& header) {
  std::string block(512, '\0');
  const auto put = [&](size_t offset, size_t width, const std::string& text) {
    block.replace(offset, std::min(width, text.size()), text, 0, std::min(width, text.size()));
  };
  put(0, 100, header.name);
  put(100, 8, Octal(0644, 8));
  put(108, 8, header.uid_field);
  put(116, 8, header.gid_field);
  put(124, 12, header.size_field.empty() ? Octal(header.size, 12) : header.size_field);
  put(136, 12, Octal(1'000'000'000, 12));
  block[156] = header.type;
  put(157, 100, header.link);
  put(257, 8, header.magic);
  put(329, 8, header.major_field);
  put(337, 8, header.minor_field);
  put(345, 155, header.prefix);
  for (const auto& [offset, bytes] : header.patches) put(offset, bytes.size(), bytes);
  block.replace(148, 8, 8, ' ');
  int sum = header.sum_error;
  for (const char byte : block) sum += static_cast<unsigned char>(byte);
  put(148, 7, Octal(static_cast<uint64_t>(sum), 7) + std::string(1, '\0'));
  return block;
}

// A header and its data, of which the size is taken unless one is given.
inline std::string RawEntry(RawHeader header, const std::string& data = "") {
  if (header.size == 0) header.size = data.size();
  return HeaderBlock(header) + Padded(data);
}

inline std::string PaxRecord(const std::string& key, const std::string& value) {
  size_t length = key.size() + value.size() + 3;
  while (std::to_string(length).size() + key.size() + value.size() + 3 != length) {
    length = std::to_string(length).size() + key.size() + value.size() + 3;
  }
  return std::to_string(length) + " " + key + "=" + value + "\n";
}

inline std::string PaxHeader(const std::string& records, char type = 'x') {
  return RawEntry({.name = "PaxHeaders/f", .type = type}, records);
}

inline const std::string& GnuMagic() {
  static const std::string magic("ustar  \0", 8);
  return magic;
}

inline std::string GnuLong(char type, const std::string& text) {
  return RawEntry({.name = "././@LongLink", .type = type, .magic = GnuMagic()}, text);
}

inline std::string TarEnd() { return std::string(1024, '\0'); }

}  // namespace fermata::overlay::testing
