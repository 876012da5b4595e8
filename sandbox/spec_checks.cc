#include "sandbox/spec_checks.h"

#include <arpa/inet.h>
#include <linux/limits.h>

#include <algorithm>
#include <vector>

#include "runtime/launch/identity.h"
#include "runtime/launch/sysctl.h"

namespace fermata::sandbox {
namespace {

constexpr size_t kMaxHostname = 63;
constexpr size_t kMaxDnsEntries = 32;
constexpr size_t kMaxSearchBytes = 2048;
constexpr size_t kMaxOptionBytes = 255;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsLowerOrDigit(char c) { return IsLower(c) || IsDigit(c); }
char ToUpper(char c) { return IsLower(c) ? static_cast<char>(c - 'a' + 'A') : c; }

template <typename... Parts>
Error Invalid(const Parts&... parts) {
  return Error::Make(ErrorCode::kInvalidArgument, parts...);
}

// `also`: characters allowed beside letters and digits.
bool AllOf(std::string_view text, std::string_view also) {
  return std::all_of(text.begin(), text.end(), [also](char c) {
    return IsLowerOrDigit(c) || IsUpper(c) || also.find(c) != std::string_view::npos;
  });
}

std::vector<std::string_view> Split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find_first_of(separators);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool HasParent(std::string_view path) {
  const auto parts = Split(path, "/");
  return std::find(parts.begin(), parts.end(), "..") != parts.end();
}

Result<> CheckPathText(std::string_view path) {
  if (path.empty()) return Invalid("empty path");
  if (path.size() >= PATH_MAX) return Invalid("path of ", std::to_string(path.size()), " bytes is too long");
  if (path.find('\0') != std::string_view::npos) return Invalid(Quoted(path), ": NUL byte in a path");
  if (HasParent(path)) return Invalid(Quoted(path), ": a path must not contain \"..\"");
  return {};
}

std::string Indexed(std::string_view name, size_t index) {
  return std::string(name) + "[" + std::to_string(index) + "]";
}

Result<> CheckServer(std::string_view server) {
  const size_t zone = server.find('%');
  if (zone != std::string_view::npos) {
    // A link-local server of the host's own resolv.conf: "fe80::1%eth0". IFNAMSIZ is 16 with the NUL.
    const std::string_view name = server.substr(zone + 1);
    if (name.empty() || name.size() > 15 || !AllOf(name, "._-")) return Invalid(Quoted(server), " is no IP address");
    server = server.substr(0, zone);
    if (server.find(':') == std::string_view::npos) return Invalid(Quoted(server), " with a zone is no IP address");
  }
  if (!IsIpAddress(server)) return Invalid(Quoted(server), " is no IP address");
  return {};
}

Result<> CheckSearch(std::string_view domain) {
  if (domain.empty() || !AllOf(domain, "._-")) return Invalid(Quoted(domain), " is no search domain");
  return {};
}

Result<> CheckOption(std::string_view option) {
  if (option.empty() || option.size() > kMaxOptionBytes || !AllOf(option, ":._-")) {
    return Invalid(Quoted(option), " is no resolver option");
  }
  return {};
}

Result<> CheckDnsList(std::string_view name, const std::vector<std::string>& list,
                      Result<> (*check)(std::string_view)) {
  if (list.size() > kMaxDnsEntries) {
    return Invalid(name, ": ", std::to_string(list.size()), " entries, at most ", std::to_string(kMaxDnsEntries));
  }
  for (size_t i = 0; i < list.size(); ++i) RETURN_IF_ERROR(check(list[i]), Indexed(name, i));
  return {};
}

}  // namespace

std::string Quoted(std::string_view text) {
  constexpr size_t kMaxShown = 80;
  std::string shown = "\"";
  for (const char c : text.substr(0, kMaxShown)) {
    const auto byte = static_cast<unsigned char>(c);
    shown += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return shown + (text.size() > kMaxShown ? "...\"" : "\"");
}

Result<> CheckHostname(std::string_view name) {
  if (name.size() > kMaxHostname) return Invalid(Quoted(name), " is longer than 63 bytes");
  const bool charset =
      std::all_of(name.begin(), name.end(), [](char c) { return IsLowerOrDigit(c) || c == '.' || c == '-'; });
  if (name.empty() || !charset || !IsLowerOrDigit(name.front()) || !IsLowerOrDigit(name.back())) {
    return Invalid(Quoted(name), " is no host name: only a-z, 0-9, '.' and '-', a letter or digit at both ends");
  }
  return {};
}

bool IsIpAddress(std::string_view text) {
  const std::string copy(text);
  in6_addr address{};
  return copy.find('\0') == std::string::npos &&
         (::inet_pton(AF_INET, copy.c_str(), &address) == 1 || ::inet_pton(AF_INET6, copy.c_str(), &address) == 1);
}

Result<> CheckDns(const DnsConfig& dns) {
  RETURN_IF_ERROR(CheckDnsList("servers", dns.servers, CheckServer));
  RETURN_IF_ERROR(CheckDnsList("searches", dns.searches, CheckSearch));
  RETURN_IF_ERROR(CheckDnsList("options", dns.options, CheckOption));
  size_t bytes = 0;
  for (const std::string& search : dns.searches) bytes += search.size() + 1;
  if (bytes > kMaxSearchBytes + 1) return Invalid("searches: ", std::to_string(bytes - 1), " bytes, at most 2048");
  return {};
}

Result<> CheckSysctl(std::string_view name, std::string_view value, const NamespaceOptions& namespaces) {
  const bool network = namespaces.network != NamespaceMode::kNode;
  // kernel.domainname and its like are the kubelet's business, which sets the host name itself.
  return runtime::CheckSysctl(name, value, {network, namespaces.ipc != NamespaceMode::kNode, false});
}

Result<> CheckAbsolutePath(std::string_view path) {
  RETURN_IF_ERROR(CheckPathText(path));
  if (path.front() != '/') return Invalid(Quoted(path), ": the path must be absolute");
  return {};
}

Result<> CheckRelativePath(std::string_view path) {
  RETURN_IF_ERROR(CheckPathText(path));
  if (path.front() == '/') return Invalid(Quoted(path), ": the path must be relative");
  if (path == "." || path.ends_with('/') || path.ends_with("/.")) return Invalid(Quoted(path), " names no file");
  return {};
}

Result<> CheckEnvName(std::string_view name) {
  if (name.empty()) return Invalid("a variable needs a name");
  if (name.find('=') != std::string_view::npos || name.find('\0') != std::string_view::npos) {
    return Invalid(Quoted(name), ": the name of a variable must not contain '=' or NUL");
  }
  return {};
}

Result<> CheckId(int64_t id) {
  if (id < 0 || id > kMaxUserId) return Invalid(std::to_string(id), " is not in 0..4294967294");
  return {};
}

Result<std::string> CapabilityName(std::string_view text) {
  std::string name;
  for (const char c : text) name += ToUpper(c);
  if (name == "ALL") return name;
  if (!name.starts_with("CAP_")) name.insert(0, "CAP_");
  if (!AllOf(name, "_") || !runtime::CapabilityMask({name})) return Invalid(Quoted(text), " is no capability");
  return name;
}

}  // namespace fermata::sandbox
