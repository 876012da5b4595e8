// tmpcopyup: what the image has under a tmpfs shows in it. The rules at the top of child_script.h apply.
//
// Walks by descriptor and follows nothing: directories, regular files and symbolic links are copied, with owner and
// mode; anything else, and what is mounted below, is left out (M-05 of the threat table).
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "runtime/launch/child_script.h"

namespace fermata::runtime {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kDirectoryBuffer = 2048;

struct KernelDirent {  // getdents64(2)
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

int CloseAll(int result, int first, int second) noexcept {
  const int error = errno;
  if (first >= 0) ::close(first);
  if (second >= 0) ::close(second);
  errno = error;
  return result;
}

int CopyBytes(int from, int to) noexcept {
  for (;;) {
    constexpr size_t kAtOnce = size_t{1} << 20;
    const ssize_t count = ::sendfile(to, from, nullptr, kAtOnce);
    if (count == 0) return 0;
    if (count < 0 && errno != EINTR) return -1;
  }
}

int CopyFile(int from, int to, const char* name, const struct stat& status) noexcept {
  const int source = ::openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (source < 0) return -1;
  const int copy = ::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  int done = copy < 0 ? -1 : CopyBytes(source, copy);
  if (done == 0) done = ::fchown(copy, status.st_uid, status.st_gid);
  if (done == 0) done = ::fchmod(copy, status.st_mode & 07777);
  return CloseAll(done, source, copy);
}

int CopyLink(int from, int to, const char* name, const struct stat& status) noexcept {
  char target[PATH_MAX];
  const ssize_t length = ::readlinkat(from, name, target, sizeof target - 1);
  if (length < 0) return -1;
  target[length] = 0;
  if (::symlinkat(target, to, name) != 0) return -1;
  return ::fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW);
}

int CopyDirectory(int from, int to, int depth) noexcept;

int CopySubdirectory(int from, int to, const char* name, int depth) noexcept {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  const auto source = static_cast<int>(::syscall(SYS_openat2, from, name, &how, sizeof how));
  if (source < 0) return errno == EXDEV ? 0 : -1;  // a mount: not the image's
  int done = ::mkdirat(to, name, 0700);
  const int copy = done != 0 ? -1 : ::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  done = copy < 0 ? -1 : CopyDirectory(source, copy, depth + 1);
  return CloseAll(done, source, copy);
}

int CopyEntry(int from, int to, const char* name, int depth) noexcept {
  struct stat status {};
  if (::fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  if (S_ISDIR(status.st_mode)) return CopySubdirectory(from, to, name, depth);
  if (S_ISREG(status.st_mode)) return CopyFile(from, to, name, status);
  return S_ISLNK(status.st_mode) ? CopyLink(from, to, name, status) : 0;
}

int CopyDirectory(int from, int to, int depth) noexcept {  // NOLINT(misc-no-recursion): bounded by kMaxDepth
  if (depth > kMaxDepth) {
    errno = ELOOP;
    return -1;
  }
  alignas(KernelDirent) char buffer[kDirectoryBuffer];
  for (;;) {
    const long count = ::syscall(SYS_getdents64, from, buffer, sizeof buffer);
    if (count < 0) return -1;
    if (count == 0) break;
    for (long at = 0; at < count;) {
      const auto* entry = reinterpret_cast<const KernelDirent*>(buffer + at);
      at += entry->length;
      if (std::strcmp(entry->name, ".") == 0 || std::strcmp(entry->name, "..") == 0) continue;
      if (CopyEntry(from, to, entry->name, depth) != 0) return -1;
    }
  }
  struct stat status {};
  if (::fstat(from, &status) != 0 || ::fchown(to, status.st_uid, status.st_gid) != 0) return -1;
  return ::fchmod(to, status.st_mode & 07777);
}

}  // namespace

int CopyUp(int root, const char* path, int mount) noexcept {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const auto source = static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how));
  if (source < 0) return errno == ENOENT ? 0 : -1;
  const int target = ::openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int done = target < 0 ? -1 : CopyDirectory(source, target, 0);
  return CloseAll(done, source, target);
}

}  // namespace fermata::runtime
