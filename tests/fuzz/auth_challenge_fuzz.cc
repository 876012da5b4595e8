// What a registry and its token server say of authorization: challenges are bounded and printable, a token can end no
// header, and no error quotes what was read.
#include "overlay/registry/challenge.h"
#include "overlay/registry/token.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::overlay {
namespace {

using fuzz::Check;

bool IsPrintable(std::string_view text) {
  for (const char c : text) {
    if (c < ' ' || c >= 0x7f) return false;
  }
  return text.size() <= 1024;
}

void CheckChallenges(std::string_view header) {
  const auto challenges = ParseChallenges(header);
  Check(challenges.size() <= 16, "too many challenges");
  for (const Challenge& challenge : challenges) {
    Check(IsPrintable(challenge.realm) && IsPrintable(challenge.service) && IsPrintable(challenge.scope),
          "a parameter that is not plain text");
  }
}

void CheckToken(std::string_view answer) {
  const auto now = std::chrono::steady_clock::now();
  const auto token = ParseTokenAnswer(answer, now);
  if (!token) return fuzz::CheckError(token.error());
  const std::string& value = token->value.registry_token;
  Check(!value.empty() && value.find_first_of("\r\n ") == std::string::npos, "a token that ends its header");
  Check(token->expires >= now && token->expires <= now + std::chrono::hours(24), "a lifetime beyond a day");
}

}  // namespace
}  // namespace fermata::overlay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fermata::overlay::CheckChallenges(fermata::fuzz::TextOf(data, size));
  fermata::overlay::CheckToken(fermata::fuzz::TextOf(data, size));
  return 0;
}
