#include "overlay/image/reference.h"

#include <algorithm>

#include "overlay/digest.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxTextBytes = 4096;
constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxTagBytes = 128;
constexpr std::string_view kDefaultDomain = "docker.io";

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsWord(char c) { return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '_'; }

Error Invalid(std::string_view text, std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, "parse image name \"", text.substr(0, kMaxNameBytes), "\": ", reason);
}

// Calls `check` for each part of `text` between `separator`s, empty parts too.
template <typename Check>
bool AllParts(std::string_view text, char separator, const Check& check) {
  for (;;) {
    const size_t end = text.find(separator);
    if (!check(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

bool IsHost(std::string_view host) {
  if (host.starts_with('[')) {  // an IPv6 address
    return host.size() > 2 && host.ends_with(']') &&
           host.substr(1, host.size() - 2).find_first_not_of("0123456789abcdefABCDEF:") == std::string_view::npos;
  }
  return AllParts(host, '.', [](std::string_view part) {
    const auto allowed = [](char c) { return (IsWord(c) && c != '_') || c == '-'; };
    return !part.empty() && part.front() != '-' && part.back() != '-' && std::all_of(part.begin(), part.end(), allowed);
  });
}

bool IsDomain(std::string_view domain) {
  const size_t colon = domain.rfind(':');
  const size_t bracket = domain.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) return IsHost(domain);
  const std::string_view port = domain.substr(colon + 1);
  return !port.empty() && std::all_of(port.begin(), port.end(), IsDigit) && IsHost(domain.substr(0, colon));
}

// Runs of a-z0-9, between them ".", "_", "__" or any number of "-".
bool IsPathComponent(std::string_view part) {
  const auto alphanumeric = [](char c) { return IsLower(c) || IsDigit(c); };
  if (part.empty() || !alphanumeric(part.front()) || !alphanumeric(part.back())) return false;
  for (size_t begin = 0; begin < part.size();) {
    if (alphanumeric(part[begin])) {
      ++begin;
      continue;
    }
    size_t end = begin;
    while (!alphanumeric(part[end])) ++end;  // the last character is one
    const std::string_view separator = part.substr(begin, end - begin);
    if (separator != "." && separator != "_" && separator != "__" &&
        separator.find_first_not_of('-') != std::string_view::npos) {
      return false;
    }
    begin = end;
  }
  return true;
}

bool IsTag(std::string_view tag) {
  const auto allowed = [](char c) { return IsWord(c) || c == '.' || c == '-'; };
  return !tag.empty() && tag.size() <= kMaxTagBytes && IsWord(tag.front()) &&
         std::all_of(tag.begin(), tag.end(), allowed);
}

bool IsReferenceDigest(std::string_view digest) {
  constexpr std::string_view kSha512 = "sha512:";
  return IsDigest(digest) || (digest.starts_with(kSha512) && digest.size() == kSha512.size() + 128 &&
                              IsLowerHex(digest.substr(kSha512.size())));
}

// The part before the first "/" is a registry only if it cannot be a path on Docker Hub.
void SplitDomain(std::string_view name, Reference& reference) {
  const size_t slash = name.find('/');
  const std::string_view first = name.substr(0, slash);
  const bool is_domain =
      slash != std::string_view::npos && (first.find_first_of(".:") != std::string_view::npos || first == "localhost" ||
                                          std::any_of(first.begin(), first.end(), IsUpper));
  reference.domain = is_domain ? first : kDefaultDomain;
  reference.repository = is_domain ? name.substr(slash + 1) : name;
  if (reference.domain == "index.docker.io") reference.domain = kDefaultDomain;
  if (reference.domain == kDefaultDomain && reference.repository.find('/') == std::string::npos) {
    reference.repository.insert(0, "library/");
  }
}

}  // namespace

std::string Reference::Name() const { return domain + "/" + repository; }
std::string Reference::Tagged() const { return tag.empty() ? "" : Name() + ":" + tag; }
std::string Reference::Digested() const { return digest.empty() ? "" : Name() + "@" + digest; }

std::string Reference::ToString() const {
  return Name() + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest);
}

std::string Reference::Familiar() const {
  constexpr std::string_view kLibrary = "docker.io/library/";
  constexpr std::string_view kHub = "docker.io/";
  std::string text = ToString();
  for (const std::string_view prefix : {kLibrary, kHub}) {
    if (!text.starts_with(prefix)) continue;
    // Without it some are another name ("docker.io/localhost/x") or none.
    std::string shorter = text.substr(prefix.size());
    if (const auto same = ParseReference(shorter); same && same->ToString() == text) return shorter;
  }
  return text;
}

Result<Reference> ParseReference(std::string_view text) {
  if (text.empty()) return Invalid(text, "is empty");
  if (text.size() > kMaxTextBytes) return Invalid(text, "longer than 4096 bytes");
  if (IsDigest(text) || (text.size() == 64 && IsLowerHex(text))) return Invalid(text, "is an image id, not a name");
  Reference reference;
  std::string_view name = text;
  if (const size_t at = name.find('@'); at != std::string_view::npos) {
    reference.digest = name.substr(at + 1);
    if (!IsReferenceDigest(reference.digest)) return Invalid(text, "the digest is not sha256 or sha512 in hex");
    name = name.substr(0, at);
  }
  const size_t colon = name.rfind(':');
  if (colon != std::string_view::npos && name.find('/', colon) == std::string_view::npos) {
    reference.tag = name.substr(colon + 1);
    if (!IsTag(reference.tag)) return Invalid(text, "the tag has characters that tags do not have");
    name = name.substr(0, colon);
  }
  if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
  SplitDomain(name, reference);
  if (std::any_of(reference.repository.begin(), reference.repository.end(), IsUpper)) {
    return Invalid(text, "the repository has to be in lower case");
  }
  if (!IsDomain(reference.domain) || !AllParts(reference.repository, '/', IsPathComponent)) {
    return Invalid(text, "not of the form [registry/]repository[:tag][@digest]");
  }
  if (reference.Name().size() > kMaxNameBytes) return Invalid(text, "the name is longer than 255 bytes");
  return reference;
}

}  // namespace fermata::overlay
