// The user of a container. The input: the user text, a line "%%", /etc/passwd, a line "%%", /etc/group. Ids asked for
// as numbers are the ones found, and the other groups are sorted, each once, without the main one.
#include <algorithm>

#include "overlay/user_lookup.h"
#include "tests/fuzz/scratch.h"

namespace fermata::overlay {
namespace {

using fuzz::Check;

bool IsNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

void CheckUser(std::string_view user, const ResolvedUser& found) {
  const size_t colon = user.find(':');
  const std::string_view first = user.substr(0, colon);
  if (IsNumber(first)) Check(std::stoull(std::string(first)) == found.uid, "another uid than asked for");
  if (colon != std::string_view::npos && IsNumber(user.substr(colon + 1))) {
    Check(std::stoull(std::string(user.substr(colon + 1))) == found.gid, "another gid than asked for");
  }
  if (!first.empty() && !IsNumber(first)) Check(found.name == first, "another name than asked for");
  Check(found.uid != UINT32_MAX && found.gid != UINT32_MAX, "an id that is none");
  Check(found.home.starts_with('/'), "a relative home directory");
  const auto& gids = found.additional_gids;
  Check(std::is_sorted(gids.begin(), gids.end()) && std::adjacent_find(gids.begin(), gids.end()) == gids.end() &&
            std::find(gids.begin(), gids.end(), found.gid) == gids.end(),
        "additional groups");
}

void CheckLookup(std::string_view input, fuzz::Scratch& scratch) {
  const std::string_view user = fuzz::TakeUntil(input, "\n%%\n");
  const std::string_view passwd = fuzz::TakeUntil(input, "\n%%\n");
  static const bool made = ::mkdirat(scratch.in(), "etc", 0755) == 0;
  const UniqueFd etc = OpenAt(scratch.in(), "etc", O_RDONLY | O_DIRECTORY).value();
  Check(made && WriteFileAtomic(etc.get(), "passwd", passwd) && WriteFileAtomic(etc.get(), "group", input), "files");
  const auto found = LookupUser(scratch.in(), user);
  if (!found) return fuzz::CheckError(found.error());
  CheckUser(user, *found);
}

}  // namespace
}  // namespace fermata::overlay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fermata::fuzz::Scratch scratch;
  fermata::overlay::CheckLookup(fermata::fuzz::TextOf(data, size), scratch);
  return 0;
}
