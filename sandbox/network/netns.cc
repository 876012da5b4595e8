#include "sandbox/network/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "runtime/base/file.h"

namespace fermata::sandbox {

Result<UniqueFd> OpenNetns(int pid) { return OpenAt(AT_FDCWD, "/proc/" + std::to_string(pid) + "/ns/net", O_RDONLY); }

Result<> PinNetns(int netns, const std::string& path) {
  RETURN_IF_ERROR(UnpinNetns(path));
  ASSIGN_OR_RETURN(const UniqueFd directory,
                   MakeDirectories(AT_FDCWD, std::filesystem::path(path).parent_path().string(), 0755));
  RETURN_IF_ERROR(OpenAt(AT_FDCWD, path, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0444));
  const std::string source = "/proc/self/fd/" + std::to_string(netns);
  if (::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0) return {};
  Error error = Error::Errno("pin network namespace at ", path);
  (void)::unlink(path.c_str());
  return error;
}

Result<> UnpinNetns(const std::string& path) {
  while (IsPinned(path)) {
    if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return Error::Errno("unmount ", path);
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Error::Errno("unlink ", path);
  return {};
}

bool IsPinned(const std::string& path) {
  struct statfs status {};
  return ::statfs(path.c_str(), &status) == 0 && status.f_type == NSFS_MAGIC;
}

std::vector<std::string> ListPins(const std::string& directory, const std::string& prefix) {
  std::vector<std::string> pins;
  const auto opened = OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!opened) return pins;
  const auto names = ListDirectory(opened->get());
  if (!names) return pins;
  for (const std::string& name : *names) {
    if (name.starts_with(prefix)) pins.push_back(name);
  }
  return pins;
}

Result<> RunInNetns(int netns, const std::function<Result<>()>& body) {
  Result<> result;
  std::thread([&] {
    result = ::setns(netns, CLONE_NEWNET) == 0 ? body() : Error::Errno("enter network namespace");
  }).join();
  return result;
}

Result<> RefuseRouterAdvertisements(int netns) {
  return RunInNetns(netns, []() -> Result<> {
    // /proc/sys/net is that of who looks.
    for (const char* scope : {"all", "default"}) {
      const std::string path = std::string("/proc/sys/net/ipv6/conf/") + scope + "/accept_ra";
      auto done = WriteControl(AT_FDCWD, path, "0");
      if (!done && done.error().saved_errno() != ENOENT) return done;  // without IPv6 there is nothing to refuse
    }
    return {};
  });
}

}  // namespace fermata::sandbox
