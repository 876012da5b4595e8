// Credentials: what a registry is told of who asks. A secret: no operator<<, never in an error, a log or a database;
// its memory is overwritten when it goes.
#pragma once

#include <string>
#include <utility>

namespace fermata::overlay {

class Credentials {
 public:
  Credentials() = default;
  Credentials(const Credentials&) = default;
  Credentials(Credentials&&) = default;
  Credentials& operator=(const Credentials&) = default;
  Credentials& operator=(Credentials&&) = default;
  ~Credentials();

  [[nodiscard]] bool empty() const { return username.empty() && identity_token.empty() && registry_token.empty(); }

  std::string username, password;
  std::string identity_token;  // an OAuth2 refresh token, for the token server
  std::string registry_token;  // a bearer token, sent as it is
};

}  // namespace fermata::overlay
