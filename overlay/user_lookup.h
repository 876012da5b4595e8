// Users and groups of a container by the /etc/passwd and /etc/group under its root, never by NSS: the files
// are the image's, so they are read bounded, as regular files only, and without leaving the root.
// Keeps no state; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::overlay {

struct ResolvedUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> additional_gids;  // groups that list the user as member; sorted, without gid
  std::string home = "/";
  std::string name;  // empty when /etc/passwd does not have the uid
};

// `user` is "" (root), "uid", "name", "uid:gid", "uid:group", "name:gid" or "name:group". Text of digits only
// is a number in 0..2^32-2 and never looked up as a name; a number may be missing in the files (gid is 0
// then). kInvalidArgument: anything else, an unknown name, a file that is no regular one, longer than
// 10 MiB, with a line over 64 KiB or with over 65,536 groups.
Result<ResolvedUser> LookupUser(int root_fd, std::string_view user);

}  // namespace fermata::overlay
