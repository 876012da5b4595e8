#include "overlay/user_lookup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <optional>

#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{10} << 20;
constexpr size_t kMaxLineBytes = size_t{64} << 10;
constexpr size_t kMaxGroups = 65'536;
constexpr size_t kMaxNameBytes = 256;
constexpr uint32_t kMaxId = 4294967294U;  // 2^32-1 is "no id" for the kernel

template <typename... Parts>
Error Invalid(const Parts&... parts) {
  return Error::Make(ErrorCode::kInvalidArgument, parts...);
}

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<uint32_t> ParseId(std::string_view text) {
  uint32_t id = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (!IsDigits(text) || code != std::errc() || end != text.data() + text.size() || id > kMaxId) return std::nullopt;
  return id;
}

bool IsName(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto rest = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '$' || c == '@';
  };
  return !text.empty() && text.size() <= kMaxNameBytes && letter(text.front()) &&
         std::all_of(text.begin(), text.end(), rest);
}

// A number or a name, as the caller of LookupUser wrote it.
struct Wanted {
  std::optional<uint32_t> id;
  std::string_view name;
};

Result<Wanted> ParseWanted(std::string_view text, std::string_view what) {
  if (IsDigits(text)) {
    const auto id = ParseId(text);
    if (!id) return Invalid(what, ": ", text.substr(0, 32), " is larger than 4294967294");
    return Wanted{id, {}};
  }
  if (text.empty()) return Invalid(what, ": is empty");
  if (!IsName(text)) return Invalid(what, ": \"", text.substr(0, 64), "\" is neither a number nor a name");
  return Wanted{std::nullopt, text};
}

// Splits "a:b:c"; parts that a line does not have stay empty.
template <size_t N>
std::array<std::string_view, N> Fields(std::string_view line) {
  std::array<std::string_view, N> fields;
  for (std::string_view& field : fields) {
    const size_t end = std::min(line.find(':'), line.size());
    field = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return fields;
}

using Visit = std::function<Result<bool>(std::string_view line)>;  // false: enough

// Hands out whole lines of `pending` and keeps the rest.
Result<bool> VisitLines(std::string& pending, bool at_end, const Visit& visit) {
  std::string_view left = pending;
  while (!left.empty()) {
    const size_t newline = left.find('\n');
    if (newline == std::string_view::npos && !at_end) break;
    const std::string_view line = left.substr(0, newline);
    if (line.size() > kMaxLineBytes) return Invalid("a line is longer than 65536 bytes");
    ASSIGN_OR_RETURN(const bool more, visit(line));
    if (!more) return false;
    left.remove_prefix(newline == std::string_view::npos ? left.size() : newline + 1);
  }
  pending.erase(0, pending.size() - left.size());
  if (pending.size() > kMaxLineBytes) return Invalid("a line is longer than 65536 bytes");
  return true;
}

// A missing file has no lines. O_NONBLOCK: a FIFO must not hold us up before it is refused.
Result<> ForEachLine(int root, const std::string& path, const Visit& visit) {
  const auto fd = OpenInRoot(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    const int number = fd.error().saved_errno();
    if (number == ENOENT || number == ENOTDIR) return {};
    return Error(fd.error()).WithCode(ErrorCode::kInvalidArgument);
  }
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) return Error::Errno("stat ", path);
  if (!S_ISREG(status.st_mode)) return Invalid(path, ": not a regular file");
  if (static_cast<uint64_t>(status.st_size) > kMaxFileBytes) return Invalid(path, ": larger than 10 MiB");
  std::array<char, 16384> buffer;
  std::string pending;
  for (uint64_t total = 0; total <= kMaxFileBytes;) {  // the file may grow meanwhile
    const ssize_t count = ::read(fd->get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::Errno("read ", path);
    pending.append(buffer.data(), static_cast<size_t>(count));
    ASSIGN_OR_RETURN(const bool more, VisitLines(pending, count == 0, visit), path);
    if (count == 0 || !more) return {};
    total += static_cast<uint64_t>(count);
  }
  return Invalid(path, ": larger than 10 MiB");
}

// The first line that fits counts, as for getpwnam(3). Fields: name:password:uid:gid:gecos:home:shell
Result<bool> FindInPasswd(int root, const Wanted& wanted, ResolvedUser& user) {
  bool found = false;
  RETURN_IF_ERROR(ForEachLine(root, "etc/passwd", [&](std::string_view line) -> Result<bool> {
    const auto fields = Fields<6>(line);
    const auto uid = ParseId(fields[2]);
    if (wanted.id ? uid != wanted.id : fields[0] != wanted.name) return true;
    const auto gid = ParseId(fields[3]);
    if (!uid || !gid) return Invalid("entry of ", fields[0].substr(0, kMaxNameBytes), ": uid or gid is no number");
    user.uid = *uid;
    user.gid = *gid;
    user.name = fields[0];
    if (fields[5].starts_with('/')) user.home = fields[5];
    found = true;
    return false;
  }));
  return found;
}

bool ListsMember(std::string_view members, std::string_view name) {
  while (!members.empty()) {
    const size_t end = std::min(members.find(','), members.size());
    if (members.substr(0, end) == name) return true;
    members.remove_prefix(std::min(end + 1, members.size()));
  }
  return false;
}

// One pass: the group asked for and the memberships. Fields: name:password:gid:members
Result<> ReadGroups(int root, const std::optional<Wanted>& wanted, ResolvedUser& user) {
  size_t groups = 0;
  bool found = !wanted || wanted->id.has_value();
  RETURN_IF_ERROR(ForEachLine(root, "etc/group", [&](std::string_view line) -> Result<bool> {
    if (++groups > kMaxGroups) return Invalid("more than 65536 groups");
    const auto fields = Fields<4>(line);
    const auto gid = ParseId(fields[2]);
    if (!found && fields[0] == wanted->name) {
      if (!gid) return Invalid("entry of group ", wanted->name, ": gid is no number");
      user.gid = *gid;
      found = true;
    }
    if (gid && !user.name.empty() && ListsMember(fields[3], user.name)) user.additional_gids.push_back(*gid);
    return true;
  }));
  if (!found) return Invalid("group ", wanted->name, ": not in /etc/group of the image");
  if (wanted && wanted->id) user.gid = *wanted->id;
  auto& gids = user.additional_gids;
  std::sort(gids.begin(), gids.end());
  gids.erase(std::unique(gids.begin(), gids.end()), gids.end());
  std::erase(gids, user.gid);
  return {};
}

Result<ResolvedUser> Lookup(int root, std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view user_text = text.empty() ? "0" : text.substr(0, colon);
  ASSIGN_OR_RETURN(const Wanted wanted_user, ParseWanted(user_text, "user"));
  std::optional<Wanted> wanted_group;
  if (colon != std::string_view::npos) {
    ASSIGN_OR_RETURN(wanted_group, ParseWanted(text.substr(colon + 1), "group"));
  }
  ResolvedUser user;
  user.uid = wanted_user.id.value_or(0);
  ASSIGN_OR_RETURN(const bool found, FindInPasswd(root, wanted_user, user));
  if (!found && !wanted_user.id) return Invalid("user ", user_text, ": not in /etc/passwd of the image");
  RETURN_IF_ERROR(ReadGroups(root, wanted_group, user));
  return user;
}

}  // namespace

Result<ResolvedUser> LookupUser(int root_fd, std::string_view user) {
  auto found = Lookup(root_fd, user);
  if (!found) return std::move(found).error().Wrap("look up user \"", user.substr(0, kMaxNameBytes), "\"");
  return found;
}

}  // namespace fermata::overlay
