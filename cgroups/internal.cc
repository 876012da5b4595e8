#include "cgroups/internal.h"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>

#include "runtime/base/file.h"

namespace fermata::cgroups {

Result<std::vector<std::string>> ChildDirectories(int directory) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(directory, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), &::closedir);
  if (stream == nullptr) return Error::Errno("fdopendir");
  (void)fd.Release();  // closedir closes it
  std::vector<std::string> names;
  errno = 0;
  // A group's directory holds some sixty files; cgroupfs gives d_type, so none of them has to be looked at.
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return Error::Errno("readdir");
  return names;
}

}  // namespace fermata::cgroups
