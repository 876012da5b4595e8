#include "overlay/registry/challenge.h"

#include <algorithm>
#include <optional>

namespace fermata::overlay {
namespace {

constexpr size_t kMaxHeaderBytes = size_t{16} << 10;
constexpr size_t kMaxValueBytes = 1024;
constexpr size_t kMaxChallenges = 16;

bool IsTokenChar(char c) {
  const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return alnum || (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

// A cursor over the header.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : left_(text) {}

  [[nodiscard]] bool done() const { return left_.empty(); }
  void SkipSpace() { left_.remove_prefix(std::min(left_.find_first_not_of(" \t"), left_.size())); }
  void SkipSeparators() { left_.remove_prefix(std::min(left_.find_first_not_of(" \t,"), left_.size())); }
  bool Take(char c) {
    if (left_.empty() || left_.front() != c) return false;
    left_.remove_prefix(1);
    return true;
  }
  std::string_view Token() {
    const auto end = std::find_if_not(left_.begin(), left_.end(), IsTokenChar);
    return Cut(static_cast<size_t>(end - left_.begin()));
  }
  // Some servers leave the quotes out although the value is no token.
  std::string_view Bare() { return Cut(std::min(left_.find_first_of(" \t,"), left_.size())); }
  // What is between quotes; nothing when the closing one is missing.
  std::optional<std::string> Quoted() {
    std::string value;
    while (!left_.empty()) {
      const char c = left_.front();
      left_.remove_prefix(1);
      if (c == '"') return value;
      if (c == '\\' && left_.empty()) return std::nullopt;
      value += c == '\\' ? left_.front() : c;
      if (c == '\\') left_.remove_prefix(1);
    }
    return std::nullopt;
  }

 private:
  std::string_view Cut(size_t size) {
    const std::string_view part = left_.substr(0, size);
    left_.remove_prefix(size);
    return part;
  }
  std::string_view left_;
};

bool IsPrintable(std::string_view text) {
  return text.size() <= kMaxValueBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

// The first of two equal parameters counts, as for most other readers.
void SetParameter(Challenge& challenge, std::string_view name, std::string value) {
  const std::string key = Lower(name);
  std::string* field = key == "realm"     ? &challenge.realm
                       : key == "service" ? &challenge.service
                       : key == "scope"   ? &challenge.scope
                                          : nullptr;
  if (field != nullptr && field->empty()) *field = std::move(value);
}

}  // namespace

std::vector<Challenge> ParseChallenges(std::string_view header) {
  std::vector<Challenge> challenges;
  if (header.size() > kMaxHeaderBytes) return challenges;
  Scanner scanner(header);
  bool known = false;  // the scheme that parameters belong to
  for (scanner.SkipSeparators(); !scanner.done(); scanner.SkipSeparators()) {
    const std::string_view word = scanner.Token();
    if (word.empty()) return challenges;
    scanner.SkipSpace();
    if (!scanner.Take('=')) {
      const std::string scheme = Lower(word);
      known = scheme == "bearer" || scheme == "basic";
      if (!known) continue;
      if (challenges.size() == kMaxChallenges) return challenges;
      challenges.emplace_back().scheme = scheme == "bearer" ? Challenge::Scheme::kBearer : Challenge::Scheme::kBasic;
      continue;
    }
    scanner.SkipSpace();
    std::optional<std::string> value;
    if (scanner.Take('"')) {
      value = scanner.Quoted();
    } else {
      value = std::string(scanner.Bare());
    }
    if (!value) return challenges;
    if (known && IsPrintable(*value)) SetParameter(challenges.back(), word, std::move(*value));
  }
  return challenges;
}

}  // namespace fermata::overlay
