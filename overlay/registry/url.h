// Url: the one reading of URLs here. What is connected to and what origins are compared by is the same value, so that
// no second parser can see another host. Strict: http and https, no userinfo, no fragment, no white space, no
// backslash. Pure; errors are kInvalidArgument and never show a query.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::overlay {

struct Url {
  bool https = true;
  std::string host;   // lower case; IPv6 in brackets
  uint16_t port = 0;  // never 0 once parsed
  std::string path;   // begins with "/", or empty
  std::string query;  // without "?"; may hold a signature

  [[nodiscard]] std::string Origin() const;    // "https://host:port", the port always there
  [[nodiscard]] std::string Host() const;      // "host" or "host:port" where the port is not the scheme's own
  [[nodiscard]] std::string ToString() const;  // whole; not for texts
  [[nodiscard]] std::string Redacted() const;  // for texts: what the query says is left out
  [[nodiscard]] bool IsLoopback() const;       // localhost, 127.0.0.0/8, ::1
};

Result<Url> ParseUrl(std::string_view text);
// What a Location header of the answer from `base` points at: absolute, or relative to it.
Result<Url> ResolveUrl(const Url& base, std::string_view location);
// For a value in a query: all but unreserved characters as %XX.
std::string PercentEncode(std::string_view text);
// Whether `host` may be told what is meant for `registry`: the same host, its parent, or one below the same
// registrable domain as far as that can be told without a list of public suffixes: in doubt they are strangers.
bool SharesDomain(std::string_view registry, std::string_view host);

}  // namespace fermata::overlay
