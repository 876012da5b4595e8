#include "overlay/pax_header.h"

#include <algorithm>
#include <charconv>

namespace fermata::overlay {
namespace {

constexpr std::string_view kPadding("\0 ", 2);
constexpr size_t kMaxLengthDigits = 7;  // of a record in a header of at most 1 MiB

Error Malformed(std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, "malformed tar header: ", reason);
}

Result<uint64_t> ParseBase256(std::string_view field) {
  const auto first = static_cast<uint8_t>(field[0]);
  if ((first & 0x40) != 0) return Malformed("a negative number");
  uint64_t value = first & 0x3f;
  for (const char byte : field.substr(1)) {
    if (value >> 55 != 0) return Malformed("a number over 2^63");
    value = value << 8 | static_cast<uint8_t>(byte);
  }
  return value;
}

Result<uint64_t> ParseDecimal(std::string_view text) {
  int64_t value = -1;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool digits_only = text.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits_only || failure != std::errc() || end != text.data() + text.size()) {
    return Malformed("a pax record is not a number");
  }
  return static_cast<uint64_t>(value);
}

// Values that name a file: empty ones would mean "as before", and C programs stop at a zero byte.
bool IsName(std::string_view key) { return key == "path" || key == "linkpath" || key == "GNU.sparse.name"; }

Result<> AddRecord(PaxRecords& records, std::string_view record) {
  const size_t equals = record.find('=');
  if (equals == std::string_view::npos || equals == 0) return Malformed("a pax record without a key");
  const std::string_view key = record.substr(0, equals);
  const std::string_view value = record.substr(equals + 1);
  if (key.find('\0') != std::string_view::npos) return Malformed("a pax key with a zero byte");
  if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") {
    records.sparse_0_0 = true;
    return {};
  }
  if (IsName(key) && (value.empty() || value.find('\0') != std::string_view::npos)) {
    return Malformed("a pax name that is empty or has a zero byte");
  }
  if (!records.values.emplace(key, value).second) {
    return Malformed(std::string("the pax key ").append(key.substr(0, 64)).append(" is there twice"));
  }
  return {};
}

}  // namespace

Result<uint64_t> ParseTarNumber(std::string_view field) {
  if ((static_cast<uint8_t>(field[0]) & 0x80) != 0) return ParseBase256(field);
  const size_t begin = std::min(field.find_first_not_of(' '), field.size());
  const size_t end = std::min(field.find_first_not_of("01234567", begin), field.size());
  if (field.find_first_not_of(kPadding, end) != std::string_view::npos) return Malformed("a number that is none");
  uint64_t value = 0;
  for (const char digit : field.substr(begin, end - begin)) value = value << 3 | static_cast<uint64_t>(digit - '0');
  return value;  // 12 digits are 36 bits
}

std::string_view TarText(std::string_view field) { return field.substr(0, field.find('\0')); }

const std::string* PaxRecords::Find(std::string_view key) const {
  const auto found = values.find(key);
  return found == values.end() ? nullptr : &found->second;
}

Result<uint64_t> PaxRecords::Number(std::string_view key) const {
  const std::string* value = Find(key);
  if (value == nullptr) return Malformed(std::string("no pax record ").append(key));
  return ParseDecimal(*value);
}

Result<PaxRecords> ParsePaxRecords(std::string_view data) {
  PaxRecords records;
  while (!data.empty()) {
    const size_t space = data.find(' ');
    if (space > kMaxLengthDigits) return Malformed("a pax record without a length");
    ASSIGN_OR_RETURN(const uint64_t length, ParseDecimal(data.substr(0, space)));
    if (length <= space + 1 || length > data.size() || data[length - 1] != '\n') {
      return Malformed("the length of a pax record is wrong");
    }
    RETURN_IF_ERROR(AddRecord(records, data.substr(space + 1, length - space - 2)));
    data.remove_prefix(length);
  }
  return records;
}

}  // namespace fermata::overlay
