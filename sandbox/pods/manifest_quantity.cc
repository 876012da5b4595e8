#include "sandbox/pods/manifest_quantity.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

struct Suffix {
  std::string_view text;
  int base, exponent;
};
// k8s.io/apimachinery/pkg/api/resource/suffix.go
constexpr Suffix kSuffixes[] = {
    {"", 10, 0},   {"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3}, {"k", 10, 3},  {"M", 10, 6},
    {"G", 10, 9},  {"T", 10, 12}, {"P", 10, 15}, {"E", 10, 18}, {"Ki", 2, 10}, {"Mi", 2, 20},
    {"Gi", 2, 30}, {"Ti", 2, 40}, {"Pi", 2, 50}, {"Ei", 2, 60},
};

std::optional<Suffix> ReadSuffix(std::string_view text) {
  for (const Suffix& suffix : kSuffixes) {
    if (suffix.text == text) return suffix;
  }
  // "e3", "E-3"; a lone "E" is the suffix above.
  if (text.size() < 2 || (text[0] != 'e' && text[0] != 'E')) return std::nullopt;
  text.remove_prefix(text[1] == '+' && text.size() > 2 && text[2] != '-' ? 2 : 1);
  int exponent = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), exponent);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return Suffix{"", 10, exponent};
}

// A number below 2^128 that sticks at "too much".
class Exact {
 public:
  void Multiply(unsigned factor) {
    too_much_ = too_much_ || value_ > kMost / factor;
    if (!too_much_) value_ *= factor;
  }
  void Add(unsigned digit) {
    too_much_ = too_much_ || value_ > kMost - digit;
    if (!too_much_) value_ += digit;
  }
  void DivideUp(unsigned divisor) { value_ = value_ / divisor + (value_ % divisor != 0 ? 1 : 0); }
  [[nodiscard]] bool IsZero() const { return value_ == 0; }
  [[nodiscard]] std::optional<int64_t> Get() const {
    if (too_much_ || value_ > static_cast<Wide>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(value_);
  }

 private:
  __extension__ using Wide = unsigned __int128;
  static constexpr Wide kMost = ~Wide{0};
  Wide value_ = 0;
  bool too_much_ = false;
};

Error NoQuantity(std::string_view text) {
  return Error::Make(ErrorCode::kInvalidArgument, Quoted(text), " is no quantity like 500m or 1.5Gi");
}

}  // namespace

Result<int64_t> ParseQuantity(std::string_view text, int scale) {
  constexpr size_t kMaxDigits = 30;  // times 2^60 would not fit, which is found; trailing zeros are not worth more
  if (text.starts_with('-')) return Error::Make(ErrorCode::kInvalidArgument, Quoted(text), " is negative");
  std::string_view rest = text.substr(text.starts_with('+') ? 1 : 0);
  std::string_view number = rest.substr(0, rest.find_first_not_of("0123456789."));
  const std::optional<Suffix> suffix = ReadSuffix(rest.substr(number.size()));
  const size_t point = number.find('.');
  const std::string_view fraction = point == std::string_view::npos ? "" : number.substr(point + 1);
  const bool digits = number.find_first_of("0123456789") != std::string_view::npos;
  if (!suffix || !digits || number.size() > kMaxDigits || fraction.find('.') != std::string_view::npos) {
    return NoQuantity(text);
  }
  Exact value;
  for (const char c : number) {
    if (c == '.') continue;
    value.Multiply(10);
    value.Add(static_cast<unsigned>(c - '0'));
  }
  const bool binary = suffix->base == 2;
  if (binary) {
    for (int i = 0; i < suffix->exponent; ++i) value.Multiply(2);
  }
  // Beyond 60 powers of ten everything is 0, 1 (rounded up) or too much.
  int power = std::clamp((binary ? 0 : suffix->exponent), -60, 60) + scale - static_cast<int>(fraction.size());
  for (; power > 0 && !value.IsZero(); --power) value.Multiply(10);
  for (; power < 0; ++power) value.DivideUp(10);
  const std::optional<int64_t> result = value.Get();
  if (!result) return Error::Make(ErrorCode::kInvalidArgument, Quoted(text), " is too large");
  return *result;
}

}  // namespace fermata::sandbox::pods
