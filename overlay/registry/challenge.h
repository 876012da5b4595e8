// Challenge: what a WWW-Authenticate header asks for (RFC 9110 section 11, distribution-spec's token protocol).
// Foreign text; parsing is pure, bounded and never fails: what is not understood is no challenge.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fermata::overlay {

struct Challenge {
  enum class Scheme : unsigned char { kBasic, kBearer };
  Scheme scheme = Scheme::kBasic;
  std::string realm, service, scope;  // printable ASCII, each up to 1,024 bytes
};

// The challenges of one header line that name a scheme we know, in order; up to 16.
std::vector<Challenge> ParseChallenges(std::string_view header);

}  // namespace fermata::overlay
