// /proc/self/mountinfo: no mount point without a cgroup2 line; a line of something else in front changes nothing.
#include "cgroups/mount.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  const std::string text(fuzz::TextOf(data, size));
  const auto found = cgroups::ParseCgroup2Mount(text);
  if (!found) {
    fuzz::Check(found.error().code() == ErrorCode::kNotFound, "an error of another kind");
    return 0;
  }
  fuzz::Check(text.find("- cgroup2") != std::string::npos, "a mount that is not there: " + *found);
  const auto again = cgroups::ParseCgroup2Mount("22 28 0:21 / /sys rw shared:7 - sysfs sysfs rw\n" + text);
  fuzz::Check(again && *again == *found, "another mount: " + *found);
  return 0;
}
