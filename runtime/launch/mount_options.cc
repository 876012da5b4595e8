#include "runtime/launch/mount_options.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace fermata::runtime {
namespace {

constexpr uint64_t kNoSymfollow = 0x00200000;  // MOUNT_ATTR_NOSYMFOLLOW, Linux 5.14; not in glibc 2.36

// Each has a recursive form: an r before it.
struct Flag {
  std::string_view name;
  uint64_t bits;
  bool clear = false;
};
constexpr std::array kFlags = {Flag{"ro", MOUNT_ATTR_RDONLY},
                               Flag{"rw", MOUNT_ATTR_RDONLY, true},
                               Flag{"nosuid", MOUNT_ATTR_NOSUID},
                               Flag{"suid", MOUNT_ATTR_NOSUID, true},
                               Flag{"nodev", MOUNT_ATTR_NODEV},
                               Flag{"dev", MOUNT_ATTR_NODEV, true},
                               Flag{"noexec", MOUNT_ATTR_NOEXEC},
                               Flag{"exec", MOUNT_ATTR_NOEXEC, true},
                               Flag{"nosymfollow", kNoSymfollow},
                               Flag{"symfollow", kNoSymfollow, true},
                               Flag{"nodiratime", MOUNT_ATTR_NODIRATIME},
                               Flag{"diratime", MOUNT_ATTR_NODIRATIME, true},
                               Flag{"noatime", MOUNT_ATTR_NOATIME},
                               Flag{"atime", MOUNT_ATTR_NOATIME, true},
                               Flag{"strictatime", MOUNT_ATTR_STRICTATIME},
                               Flag{"nostrictatime", MOUNT_ATTR_STRICTATIME, true},
                               Flag{"relatime", MOUNT_ATTR_RELATIME},
                               Flag{"norelatime", MOUNT_ATTR_RELATIME, true}};

constexpr std::array<std::string_view, 4> kWithoutMeaning = {"bind", "defaults", "async", "loud"};

struct Propagation {
  std::string_view name;  // or with an r before it: ours are recursive anyway
  uint64_t flag;
};
constexpr std::array kPropagations = {Propagation{"private", MS_PRIVATE}, Propagation{"slave", MS_SLAVE},
                                      Propagation{"shared", MS_SHARED}, Propagation{"unbindable", MS_UNBINDABLE}};

template <typename Table>
const typename Table::value_type* Find(const Table& table, std::string_view name) {
  const auto* found = std::ranges::find(table, name, &Table::value_type::name);
  return found == table.end() ? nullptr : found;
}

// The access time options are values of one field, MOUNT_ATTR__ATIME; 0 of it is relatime.
uint64_t FieldOf(const Flag& flag) {
  return (flag.bits & ~uint64_t{MOUNT_ATTR__ATIME}) == 0 ? uint64_t{MOUNT_ATTR__ATIME} : flag.bits;
}

void Apply(const Flag& flag, MountOptions& options) {
  options.attributes &= ~(flag.clear ? flag.bits : FieldOf(flag));
  if (!flag.clear) options.attributes |= flag.bits;
}

void ApplyRecursive(const Flag& flag, MountOptions& options) {
  const uint64_t field = FieldOf(flag);
  options.recursive_set &= ~field;
  options.recursive_clear &= ~field;
  if (!flag.clear) options.recursive_set |= flag.bits;
  // A field is replaced by clearing all of it and setting the new value (mount_setattr(2)).
  if (flag.clear || field == MOUNT_ATTR__ATIME) options.recursive_clear |= field;
}

// False if it is an option for the file system.
bool ApplyKnown(std::string_view option, MountOptions& options) {
  const std::string_view rest = option.starts_with('r') ? option.substr(1) : "";
  if (std::ranges::find(kWithoutMeaning, option) != kWithoutMeaning.end()) return true;
  if (option == "rbind") {
    options.recursive_bind = true;
  } else if (option == "idmap" || option == "ridmap") {
    options.idmap = true;
    options.recursive_idmap = option == "ridmap";
  } else if (option == "tmpcopyup") {
    options.copy_up = true;
  } else if (const Flag* flag = Find(kFlags, option)) {
    Apply(*flag, options);
  } else if (const Flag* recursive = Find(kFlags, rest)) {
    ApplyRecursive(*recursive, options);
  } else if (const Propagation* found = Find(kPropagations, option)) {
    options.propagation = found->flag;
  } else if (const Propagation* below = Find(kPropagations, rest)) {
    options.propagation = below->flag;
  } else {
    return false;
  }
  return true;
}

}  // namespace

Result<MountOptions> ParseMountOptions(const std::vector<std::string>& options) {
  MountOptions parsed;
  for (const std::string& option : options) {
    if (ApplyKnown(option, parsed)) continue;
    const size_t equals = option.find('=');
    if (option.empty() || equals == 0 || option.find(',') != std::string::npos) {
      return Error::Make(ErrorCode::kInvalidArgument, "mount option \"", option, "\" is not valid");
    }
    parsed.data.emplace_back(option.substr(0, equals), equals == std::string::npos ? "" : option.substr(equals + 1));
  }
  return parsed;
}

std::vector<std::string> MountOptionNames() {
  std::vector<std::string> names = {"rbind", "idmap", "ridmap", "tmpcopyup"};
  names.insert(names.end(), kWithoutMeaning.begin(), kWithoutMeaning.end());
  for (const auto& add : {std::string(), std::string("r")}) {
    for (const Flag& flag : kFlags) names.push_back(add + std::string(flag.name));
    for (const Propagation& propagation : kPropagations) names.push_back(add + std::string(propagation.name));
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace fermata::runtime
