#include "runtime/launch/sysctl.h"

#include <algorithm>
#include <string>
#include <vector>

namespace fermata::runtime {
namespace {

constexpr size_t kMaxValue = 4096;
constexpr size_t kMaxName = 255;

using Parts = std::vector<std::string_view>;

Parts Split(std::string_view name) {
  Parts parts;
  for (;;) {
    const size_t end = name.find_first_of("./");
    parts.push_back(name.substr(0, end));
    if (end == std::string_view::npos) return parts;
    name.remove_prefix(end + 1);
  }
}

// What a setting belongs to, by its name. kNone: the whole machine, or nobody knows.
enum class Scope : uint8_t { kNone, kNetwork, kIpc, kUts };

Scope ScopeOf(const Parts& parts) {
  if (parts.size() >= 2 && parts[0] == "net") return Scope::kNetwork;
  if (parts.size() == 3 && parts[0] == "fs" && parts[1] == "mqueue") return Scope::kIpc;
  if (parts.size() != 2 || parts[0] != "kernel") return Scope::kNone;
  if (parts[1] == "domainname") return Scope::kUts;
  const bool ipc = parts[1].starts_with("shm") || parts[1].starts_with("msg") || parts[1] == "sem";
  return ipc ? Scope::kIpc : Scope::kNone;
}

bool IsName(std::string_view name, const Parts& parts) {
  if (name.size() > kMaxName) return false;
  return std::ranges::all_of(parts, [&](std::string_view part) {
    const bool first = part.data() == parts.front().data();
    return !part.empty() && std::ranges::all_of(part, [first](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (c == '-' && !first);
    });
  });
}

// For messages: foreign text, cut, without control bytes.
std::string Shown(std::string_view text) {
  std::string shown = "\"";
  for (const char c : text.substr(0, 80)) shown += c < ' ' || c > '~' ? '?' : c;
  return shown + (text.size() > 80 ? "...\"" : "\"");
}

Error Invalid(std::string_view name, std::string_view why) {
  return Error::Make(ErrorCode::kInvalidArgument, Shown(name), why);
}

}  // namespace

Result<> CheckSysctl(std::string_view name, std::string_view value, const SysctlOwner& owner) {
  const Parts parts = Split(name);
  if (!IsName(name, parts)) return Invalid(name, " is no name of a sysctl");
  switch (ScopeOf(parts)) {
    case Scope::kNetwork:
      if (!owner.network) return Invalid(name, ": the pod uses the host's network namespace");
      break;
    case Scope::kIpc:
      if (!owner.ipc) return Invalid(name, ": the pod uses the host's ipc namespace");
      break;
    case Scope::kUts:
      if (owner.uts) break;
      [[fallthrough]];
    case Scope::kNone:
      return Invalid(name, ": not a sysctl of the pod's own namespaces");
  }
  const bool printable = std::ranges::all_of(value, [](char c) { return c >= ' ' && c <= '~'; });
  if (value.size() > kMaxValue || !printable) {
    return Invalid(name, ": the value must be printable and of at most 4096 bytes");
  }
  return {};
}

}  // namespace fermata::runtime
