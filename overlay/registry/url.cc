#include "overlay/registry/url.h"

#include <algorithm>
#include <charconv>

namespace fermata::overlay {
namespace {

constexpr size_t kMaxUrlBytes = 8192;  // signed URLs of object stores have up to some 2 KiB

Error Invalid(std::string_view reason) { return Error::Make(ErrorCode::kInvalidArgument, "parse URL: ", reason); }

bool IsAlnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

bool IsHostName(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  if (host.front() == '[') {
    return host.size() > 3 && host.back() == ']' &&
           host.substr(1, host.size() - 2).find_first_not_of("0123456789abcdef:.") == std::string_view::npos;
  }
  const bool known = std::all_of(host.begin(), host.end(), [](char c) { return IsAlnum(c) || c == '-' || c == '.'; });
  return known && host.front() != '.' && host.front() != '-' && host.find("..") == std::string_view::npos;
}

Result<> ReadAuthority(std::string_view authority, Url& url) {
  if (authority.find('@') != std::string_view::npos) return Invalid("user information in it");
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  url.host = Lower(authority.substr(0, colon));
  url.port = url.https ? 443 : 80;
  if (!IsHostName(url.host)) return Invalid("bad host");
  if (colon == std::string_view::npos) return {};
  const std::string_view digits = authority.substr(colon + 1);
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
  if (failure != std::errc() || end != digits.data() + digits.size() || url.port == 0) return Invalid("bad port");
  return {};
}

Result<> CheckText(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return Invalid("longer than 8192 bytes");
  const auto strange = [](char c) { return c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>'; };
  if (std::any_of(text.begin(), text.end(), strange)) return Invalid("a character that may not be in it");
  return {};
}

// The path and query of `text`, which begins behind the authority.
void ReadTarget(std::string_view text, Url& url) {
  text = text.substr(0, text.find('#'));
  const size_t question = text.find('?');
  url.path = text.substr(0, question);
  url.query = question == std::string_view::npos ? "" : std::string(text.substr(question + 1));
}

std::string_view Parent(std::string_view host) {
  const size_t dot = host.find('.');
  return dot == std::string_view::npos ? std::string_view() : host.substr(dot + 1);
}

bool IsBelow(std::string_view host, std::string_view domain) {
  return host.size() > domain.size() && host.ends_with(domain) && host[host.size() - domain.size() - 1] == '.';
}

// Whether anybody may have a name below `domain`. What a list of public suffixes would know is guessed on the safe
// side.
bool MayBePublicSuffix(std::string_view domain) {
  constexpr std::string_view kShared[] = {"azurecr.io",    "amazonaws.com", "github.io", "cloudfront.net",
                                          "run.app",       "appspot.com",   "pkg.dev",   "herokuapp.com",
                                          "azureedge.net", "windows.net"};
  if (std::any_of(std::begin(kShared), std::end(kShared),
                  [&](std::string_view shared) { return domain == shared || IsBelow(domain, shared); })) {
    return true;
  }
  const size_t dot = domain.find('.');
  if (dot == std::string_view::npos) return true;  // a top-level domain
  // co.uk, com.au, gov.br, ne.jp: a country and a short word before it.
  return domain.size() - dot - 1 == 2 && dot <= 3 && domain.find('.', dot + 1) == std::string_view::npos;
}

bool IsAddress(std::string_view host) {
  return host.starts_with('[') || host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

std::string Url::Origin() const { return (https ? "https://" : "http://") + host + ":" + std::to_string(port); }

std::string Url::Host() const { return port == (https ? 443 : 80) ? host : host + ":" + std::to_string(port); }

std::string Url::ToString() const {
  return (https ? "https://" : "http://") + Host() + path + (query.empty() ? "" : "?" + query);
}

std::string Url::Redacted() const {
  return (https ? "https://" : "http://") + Host() + path + (query.empty() ? "" : "?...");
}

bool Url::IsLoopback() const {
  return host == "localhost" || host == "[::1]" || (host.starts_with("127.") && IsAddress(host));
}

Result<Url> ParseUrl(std::string_view text) {
  RETURN_IF_ERROR(CheckText(text));
  Url url;
  const size_t colon = text.find("://");
  const std::string scheme = Lower(text.substr(0, colon == std::string_view::npos ? 0 : colon));
  if (scheme != "https" && scheme != "http") return Invalid("neither https nor http");
  url.https = scheme == "https";
  text.remove_prefix(colon + 3);
  const size_t end = text.find_first_of("/?#");
  RETURN_IF_ERROR(ReadAuthority(text.substr(0, end), url));
  if (end != std::string_view::npos) ReadTarget(text.substr(end), url);
  return url;
}

Result<Url> ResolveUrl(const Url& base, std::string_view location) {
  RETURN_IF_ERROR(CheckText(location));
  if (location.empty()) return Invalid("empty");
  if (location.find("://") < location.find_first_of("/?#")) return ParseUrl(location);
  if (location.starts_with("//")) return ParseUrl((base.https ? "https:" : "http:") + std::string(location));
  Url url = base;
  if (location.front() == '/') {
    ReadTarget(location, url);
  } else if (location.front() == '?') {
    url.query = location.substr(1, location.find('#') - 1);
  } else {
    const std::string directory = base.path.substr(0, base.path.rfind('/') + 1);
    ReadTarget((directory.empty() ? "/" : directory) + std::string(location), url);
  }
  return url;
}

std::string PercentEncode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (IsAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
    } else {
      (encoded += '%').append({kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return encoded;
}

bool SharesDomain(std::string_view registry, std::string_view host) {
  if (registry == host) return true;
  if (IsAddress(registry) || IsAddress(host)) return false;
  for (std::string_view domain = registry; !domain.empty(); domain = Parent(domain)) {
    if (MayBePublicSuffix(domain)) return false;
    if (host == domain || IsBelow(host, domain)) return true;
  }
  return false;
}

}  // namespace fermata::overlay
