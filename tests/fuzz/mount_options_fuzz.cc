// Mount options, one a line: an attribute is set or cleared and not both (but for the access time, a field), and what
// goes to the file system has a name and no comma.
#include <sys/mount.h>

#include "runtime/launch/mount_options.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  constexpr uint64_t kKnown = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
                              MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME | 0x00200000;
  std::vector<std::string> options;
  for (std::string_view text = fuzz::TextOf(data, size); !text.empty();) {
    options.emplace_back(fuzz::TakeUntil(text, "\n"));
  }
  const auto parsed = runtime::ParseMountOptions(options);
  if (!parsed) {
    fuzz::CheckError(parsed.error());
    return 0;
  }
  const uint64_t both = parsed->recursive_set & parsed->recursive_clear;
  fuzz::Check((both & ~uint64_t{MOUNT_ATTR__ATIME}) == 0, "set and cleared");
  fuzz::Check(((parsed->attributes | parsed->recursive_set | parsed->recursive_clear) & ~kKnown) == 0, "unknown bits");
  fuzz::Check((parsed->propagation & (parsed->propagation - 1)) == 0, "two propagations");
  fuzz::Check(parsed->data.size() <= options.size(), "more than was given");
  for (const auto& [key, value] : parsed->data) {
    fuzz::Check(!key.empty() && (key + value).find(',') == std::string::npos, "an option that is none");
  }
  return 0;
}
