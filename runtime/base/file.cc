#include "runtime/base/file.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace fermata {
namespace {

Result<UniqueFd> OpenAt2(int directory, const std::string& path, int flags, mode_t mode, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = resolve;
  // EAGAIN: a rename or mount elsewhere raced with "..": openat2(2) asks to try again.
  for (int tries = 0; tries < 128; ++tries) {
    const long fd = ::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EINTR && errno != EAGAIN) break;
  }
  return Error::Errno("open ", path);
}

Result<UniqueFd> OpenOrMakeDirectory(int directory, const std::string& name, mode_t mode, int flags) {
  if (::mkdirat(directory, name.c_str(), mode) != 0 && errno != EEXIST) return Error::Errno("mkdir ", name);
  return OpenAt(directory, name, O_RDONLY | O_DIRECTORY | flags);
}

Result<UniqueFd> MakeEach(UniqueFd current, const std::string& path, mode_t mode, int flags) {
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (const std::string name = path.substr(begin, end - begin); !name.empty()) {
      auto next = OpenOrMakeDirectory(current.get(), name, mode, flags);
      if (!next) return std::move(next).error().Wrap("make directories ", path);
      current = std::move(next).value();
    }
    begin = end + 1;
  }
  return current;
}

// Another mount of the same file system has the same device number, so it is the mount that counts.
Result<uint64_t> MountOf(int fd) {
  struct statx status {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) != 0) return Error::Errno("statx");
  return status.stx_mnt_id;
}

// Removes what is in `name` below `top` except directories, which move up into `top` under new names
// (`serial` counts them). Depth costs neither stack nor descriptors: a tenant may have made 10,000 levels.
Result<> FlattenInto(int top, const std::string& name, uint64_t& serial) {
  ASSIGN_OR_RETURN(const UniqueFd child, OpenAt(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  ASSIGN_OR_RETURN(const uint64_t top_mount, MountOf(top));
  ASSIGN_OR_RETURN(const uint64_t mount, MountOf(child.get()), name);
  if (mount != top_mount) {
    return Error::Make(ErrorCode::kFailedPrecondition, "remove ", name, ": is another mount");
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> entries, ListDirectory(child.get()));
  for (const std::string& entry : entries) {
    if (::unlinkat(child.get(), entry.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return Error::Errno("unlink ", entry);
    if (::unlinkat(child.get(), entry.c_str(), AT_REMOVEDIR) == 0) continue;
    const std::string moved = ".removing-" + std::to_string(++serial);
    if (::renameat(child.get(), entry.c_str(), top, moved.c_str()) != 0) return Error::Errno("rename ", entry);
  }
  if (::unlinkat(top, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return Error::Errno("rmdir ", name);
  return {};
}

// Empties the directory `top`; round after round until no directory came up any more.
Result<> RemoveContents(int top) {
  uint64_t serial = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(top));
    if (names.empty()) return {};
    for (const std::string& name : names) {
      if (::unlinkat(top, name.c_str(), 0) == 0 || errno == ENOENT) continue;
      if (errno != EISDIR && errno != EPERM) return Error::Errno("unlink ", name);
      RETURN_IF_ERROR(FlattenInto(top, name, serial));
    }
  }
}

}  // namespace

Result<UniqueFd> OpenAt(int directory, const std::string& path, int flags, mode_t mode) {
  int fd = -1;
  do {
    fd = ::openat(directory, path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return Error::Errno("open ", path);
  return UniqueFd(fd);
}

Result<UniqueFd> OpenInRoot(int root, const std::string& path, int flags, mode_t mode) {
  return OpenAt2(root, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

Result<UniqueFd> OpenBeneath(int directory, const std::string& path, int flags, mode_t mode) {
  return OpenAt2(directory, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

Result<UniqueFd> OpenWithin(int directory, const std::string& path, int flags) {
  return OpenAt2(directory, path, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

Result<UniqueFd> MakeDirectories(int directory, const std::string& path, mode_t mode) {
  const bool absolute = !path.empty() && path.front() == '/';
  ASSIGN_OR_RETURN(UniqueFd start, absolute ? OpenAt(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY)
                                            : OpenAt(directory, ".", O_RDONLY | O_DIRECTORY));
  return MakeEach(std::move(start), path, mode, 0);
}

Result<UniqueFd> MakeDirectoriesBeneath(int directory, const std::string& path, mode_t mode) {
  ASSIGN_OR_RETURN(UniqueFd start, OpenAt(directory, ".", O_RDONLY | O_DIRECTORY));
  return MakeEach(std::move(start), path, mode, O_NOFOLLOW);
}

Result<std::string> ReadAll(int fd, size_t limit_bytes) {
  std::string data;
  char buffer[16384];
  for (;;) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::Errno("read");
    if (count == 0) return data;
    if (data.size() + static_cast<size_t>(count) > limit_bytes) {
      return Error::Make(ErrorCode::kResourceExhausted, "read: longer than ", std::to_string(limit_bytes), " bytes");
    }
    data.append(buffer, static_cast<size_t>(count));
  }
}

Result<std::string> ReadFileAt(int directory, const std::string& path, size_t limit_bytes) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(directory, path, O_RDONLY | O_NOCTTY));
  ASSIGN_OR_RETURN(std::string data, ReadAll(fd.get(), limit_bytes), path);
  return data;
}

Result<> WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t count = ::write(fd, data.data(), data.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::Errno("write");
    data.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<> WriteControl(int directory, const std::string& path, std::string_view data) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(directory, path, O_WRONLY | O_NOCTTY));
  ssize_t count = 0;
  do {
    count = ::write(fd.get(), data.data(), data.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return Error::Errno("write ", data, " to ", path);
  if (static_cast<size_t>(count) != data.size()) {
    return Error::Make(ErrorCode::kInternal, "write ", data, " to ", path, ": short write");
  }
  return {};
}

Result<> WriteFileAtomic(int directory, const std::string& name, std::string_view data, mode_t mode) {
  const std::string temporary = name + ".new";
  if (::unlinkat(directory, temporary.c_str(), 0) != 0 && errno != ENOENT) return Error::Errno("unlink ", temporary);
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  if (::fchmod(fd.get(), mode) != 0) return Error::Errno("chmod ", temporary);
  RETURN_IF_ERROR(WriteAll(fd.get(), data), temporary);
  if (::renameat(directory, temporary.c_str(), directory, name.c_str()) != 0) return Error::Errno("rename ", name);
  return {};
}

Result<std::vector<std::string>> ListDirectory(int directory) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(directory, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), &::closedir);
  if (stream == nullptr) return Error::Errno("fdopendir");
  (void)fd.Release();  // closedir closes it
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return Error::Errno("readdir");
  std::sort(names.begin(), names.end());
  return names;
}

Result<> RemoveTree(int directory, const std::string& name) {
  if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return Error::Errno("unlink ", name);
  if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  if (errno == EBUSY) return Error::Errno("remove ", name, ": is a mount point");
  ASSIGN_OR_RETURN(const UniqueFd top, OpenAt(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RETURN_IF_ERROR(RemoveContents(top.get()), "remove ", name);
  if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return Error::Errno("rmdir ", name);
  return {};
}

std::string PathOf(int fd) {
  char buffer[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), buffer, sizeof buffer);
  return length < 0 ? link : std::string(buffer, static_cast<size_t>(length));
}

}  // namespace fermata
