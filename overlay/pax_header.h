// Reading the parts of a tar header strictly: numbers, and the records of pax headers (POSIX.1-2017 pax, "pax
// Interchange Format"). What two tar programs would read in two ways is an error (kInvalidArgument). Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::overlay {

inline constexpr uint64_t kMaxPaxHeaderBytes = uint64_t{1} << 20;

// A number of a header: octal digits with spaces in front and spaces or zero bytes behind, or base 256 as GNU tar
// writes large ones; an empty field is 0. Refused: negative, over 2^63-1, anything else behind the digits.
Result<uint64_t> ParseTarNumber(std::string_view field);

// The text of a header's field: up to the first zero byte.
std::string_view TarText(std::string_view field);

struct PaxRecords {
  std::map<std::string, std::string, std::less<>> values;
  bool sparse_0_0 = false;  // has GNU.sparse.offset, the one key that comes again and again

  [[nodiscard]] const std::string* Find(std::string_view key) const;
  // A decimal number of digits only; kInvalidArgument also when `key` is missing.
  [[nodiscard]] Result<uint64_t> Number(std::string_view key) const;
};

// All of one header. Refused: a length that does not fit its record, an empty key, a key that is there twice, and
// zero bytes or nothing where a name should be.
Result<PaxRecords> ParsePaxRecords(std::string_view data);

}  // namespace fermata::overlay
