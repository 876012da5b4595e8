#include "sandbox/pods/file_volume.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <set>

#include "runtime/base/file.h"

namespace fermata::sandbox::pods {
namespace {

constexpr uint32_t kDirectoryMode = 0755;
constexpr uint32_t kGroupReads = 0440;
constexpr uint32_t kGroupEnters = S_ISGID | 0550;

Result<> SetOwner(int fd, uint32_t mode, uint32_t for_group, std::optional<int64_t> group) {
  if (group && ::fchown(fd, static_cast<uid_t>(-1), static_cast<gid_t>(*group)) != 0) return Error::Errno("chown");
  // After the owner: a change of that takes the set-group-id bit away.
  if (::fchmod(fd, group ? mode | for_group : mode) != 0) return Error::Errno("chmod");
  return {};
}

Result<> WriteOne(int top, const FileContent& file, std::optional<int64_t> group) {
  std::string parent;
  for (size_t slash = file.path.find('/'); slash != std::string::npos; slash = file.path.find('/', slash + 1)) {
    parent = file.path.substr(0, slash);
    ASSIGN_OR_RETURN(const UniqueFd made, MakeDirectoriesBeneath(top, parent));
    RETURN_IF_ERROR(SetOwner(made.get(), kDirectoryMode, kGroupEnters, group), parent);
  }
  ASSIGN_OR_RETURN(const UniqueFd out, OpenBeneath(top, file.path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  RETURN_IF_ERROR(WriteAll(out.get(), file.text), "write ", file.path);
  return SetOwner(out.get(), file.mode, kGroupReads, group);
}

std::string DatedName() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  return fmt::format("..{:04}_{:02}_{:02}_{:02}_{:02}_{:02}.{:09}", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec);
}

}  // namespace

Result<> WriteFileVolume(int directory, const std::vector<FileContent>& files, std::optional<int64_t> group) {
  RETURN_IF_ERROR(SetOwner(directory, kDirectoryMode, kGroupEnters, group));
  const std::string dated = DatedName();
  ASSIGN_OR_RETURN(const UniqueFd top, MakeDirectoriesBeneath(directory, dated));
  RETURN_IF_ERROR(SetOwner(top.get(), kDirectoryMode, kGroupEnters, group));
  std::set<std::string> names;
  for (const FileContent& file : files) {
    RETURN_IF_ERROR(WriteOne(top.get(), file, group));
    names.insert(file.path.substr(0, file.path.find('/')));
  }
  if (::symlinkat(dated.c_str(), directory, "..data") != 0) return Error::Errno("symlink ..data");
  for (const std::string& name : names) {
    if (::symlinkat(("..data/" + name).c_str(), directory, name.c_str()) != 0) return Error::Errno("symlink ", name);
  }
  return {};
}

}  // namespace fermata::sandbox::pods
