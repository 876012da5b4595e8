// Mount steps of the child. The rules at the top of child_script.h apply to the whole file.
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>

#include "runtime/launch/child_script.h"

// <sys/mount.h> and <linux/mount.h> cannot be included together with glibc 2.36.
#ifndef MS_REC
#define MS_REC 16384UL
#define MS_PRIVATE (1UL << 18)
#endif
#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif

namespace fermata::runtime {
namespace {

int Fd(const ChildState& state, int16_t slot) noexcept { return slot == kNoSlot ? AT_FDCWD : state.slots[slot]; }

int Keep(ChildState& state, int16_t slot, long fd) noexcept {
  if (fd < 0) return -1;
  state.slots[slot] = static_cast<int>(fd);
  return 0;
}

long OpenTree(int directory, const char* path, uint64_t flags) noexcept {
  return ::syscall(SYS_open_tree, directory, path, flags | OPEN_TREE_CLOEXEC);
}

int SetAttributes(int fd, mount_attr attributes, bool recursive) noexcept {
  return static_cast<int>(::syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0),
                                    &attributes, sizeof attributes));
}

int SetAttributes(const ChildState& state, const PlanStep& step) noexcept {
  mount_attr attributes{step.a, step.b, step.c, 0};
  if (step.fd2 != kNoSlot) {
    attributes.attr_set |= MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<uint64_t>(state.slots[step.fd2]);
  }
  return SetAttributes(Fd(state, step.fd), attributes, (step.flags & kRecursive) != 0);
}

int MoveMount(int from, int to, const char* path) noexcept {
  const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (path == nullptr ? MOVE_MOUNT_T_EMPTY_PATH : 0U);
  const long moved = ::syscall(SYS_move_mount, from, "", to, path == nullptr ? "" : path, flags);
  if (moved == 0 || errno != EINVAL || path != nullptr) return static_cast<int>(moved);
  // A file over a directory, or the opposite: mount(2) says ENOTDIR, move_mount(2) only EINVAL.
  struct stat source {};
  struct stat target {};
  const bool known = ::fstat(from, &source) == 0 && ::fstat(to, &target) == 0;
  errno = known && S_ISDIR(source.st_mode) != S_ISDIR(target.st_mode) ? ENOTDIR : EINVAL;
  return -1;
}

long OpenInRoot(int root, const char* path, uint64_t flags) noexcept {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0; tries < 128; ++tries) {  // EAGAIN: a rename elsewhere raced with ".." (openat2(2))
    const long fd = ::syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return fd;
  }
  return -1;
}

// Puts `link` (text of a symbolic link) in place of the first `end` bytes of `path`, whose last component begins at
// `begin`. False when the result is too long.
bool ReplaceByLink(char (&path)[PATH_MAX], size_t begin, size_t end, const char* link) noexcept {
  char result[PATH_MAX];
  size_t size = 0;
  const auto append = [&](const char* text, size_t length) {
    if (size + length >= sizeof result) return false;
    std::memcpy(result + size, text, length);
    size += length;
    return true;
  };
  if (link[0] != '/' && !append(path, begin)) return false;
  if (!append(link, std::strlen(link)) || !append(path + end, std::strlen(path + end))) return false;
  result[size] = 0;
  std::memcpy(path, result, size + 1);
  return true;
}

// One component that is missing: made, or, when a dangling link stands there, `path` is rewritten to where it leads.
// Gives 1 when made, 0 when rewritten, -1 with errno.
int MakeComponent(int parent, char (&path)[PATH_MAX], size_t begin, size_t end, uint64_t kind) noexcept {
  char name[NAME_MAX + 1];
  if (end - begin > NAME_MAX) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(name, path + begin, end - begin);
  name[end - begin] = 0;
  const bool last = path[end] == 0 || path[end + 1] == 0;
  const int made =
      last && kind == kTargetFile ? ::mknodat(parent, name, S_IFREG | 0644, 0) : ::mkdirat(parent, name, 0755);
  if (made == 0) return 1;
  if (errno != EEXIST) return -1;
  char link[PATH_MAX];
  const ssize_t length = ::readlinkat(parent, name, link, sizeof link - 1);
  if (length < 0) return errno == EINVAL ? 1 : -1;  // no link: somebody else made it just now
  link[length] = 0;
  if (!ReplaceByLink(path, begin, end, link)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  return 0;
}

// Walks `path`, making what is missing. Gives a descriptor, -1 with errno, or -2 when `path` was rewritten.
long MakePath(int root, char (&path)[PATH_MAX], uint64_t kind) noexcept {
  long parent = OpenInRoot(root, "/", O_PATH | O_DIRECTORY);
  for (size_t at = 0; parent >= 0 && path[at] != 0;) {
    size_t begin = at;
    while (path[begin] == '/') ++begin;
    size_t end = begin;
    while (path[end] != 0 && path[end] != '/') ++end;
    if (end == begin) break;
    const char after = path[end];
    path[end] = 0;
    long next = OpenInRoot(root, path, O_PATH);  // anew under the root: a link in the image is followed inside it only
    path[end] = after;
    if (next < 0 && errno == ENOENT) {
      const int made = MakeComponent(static_cast<int>(parent), path, begin, end, kind);
      if (made == 1) {
        path[end] = 0;
        next = OpenInRoot(root, path, O_PATH);
        path[end] = after;
      }
      if (made == 0) next = -2;
    }
    ::close(static_cast<int>(parent));
    parent = next;
    at = end;
  }
  return parent;
}

// Opens `path` below `root` with O_PATH; what is missing is made: directories 0755, the end as `kind` says. Dangling
// links of the image (/etc/resolv.conf of many) lead to where they point inside the root.
long OpenTarget(int root, const char* path, uint64_t kind) noexcept {
  const long there = OpenInRoot(root, path, O_PATH);
  if (there >= 0 || errno != ENOENT) return there;
  char buffer[PATH_MAX];
  const size_t length = std::strlen(path);
  if (length >= sizeof buffer) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(buffer, path, length + 1);
  constexpr int kMaxLinks = 40;  // as the kernel's
  for (int links = 0; links < kMaxLinks; ++links) {
    const long made = MakePath(root, buffer, kind);
    if (made != -2) return made;
  }
  errno = ELOOP;
  return -1;
}

// Other parts of a procfs than the whole show processes by their numbers, and through them the host.
bool IsPartOfProc(int fd) noexcept {
  constexpr ino_t kProcRoot = 1;
  struct statfs system {};
  struct stat status {};
  if (::fstatfs(fd, &system) != 0 || ::fstat(fd, &status) != 0) return true;
  return system.f_type == PROC_SUPER_MAGIC && status.st_ino != kProcRoot;
}

// A path that whoever wrote the request, or lives in a volume, has arranged: open_tree(2) itself can refuse nothing on
// the way. `below` is the path of a volume that a container may have filled with links: it is looked up with `path` as
// the root.
long OpenSource(int directory, const char* path, const char* below, const PlanStep& step) noexcept {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = ((step.flags & kNoMagicLinks) != 0 ? RESOLVE_NO_MAGICLINKS : 0) |
                ((step.flags & kBeneath) != 0 ? RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS : 0);
  long source = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
  if (source >= 0 && below != nullptr) {
    const long base = source;
    source = OpenTarget(static_cast<int>(base), below, kTargetDirectory);
    const int error = errno;
    ::close(static_cast<int>(base));
    errno = error;
  }
  if (source < 0) return -1;
  long tree = -1;
  if ((step.flags & kNotProc) != 0 && IsPartOfProc(static_cast<int>(source))) {
    errno = EACCES;
  } else {
    tree = OpenTree(static_cast<int>(source), "", step.a | AT_EMPTY_PATH);
  }
  const int error = errno;
  ::close(static_cast<int>(source));
  errno = error;
  return tree;
}

// Directories 0755.
int MakeSource(const char* path) noexcept {
  const int root = ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return -1;
  const long made = OpenTarget(root, path, kTargetDirectory);
  ::close(root);
  if (made < 0) return -1;
  return ::close(static_cast<int>(made));
}

long OpenStepTree(const ChildState& state, const PlanStep& step) noexcept {
  const char* path = state.plan.Text(step.text);
  const char* below = step.text2 == kNoText ? nullptr : state.plan.Text(step.text2);
  const int directory = Fd(state, step.fd);
  const bool plain = (step.flags & (kMakeMissing | kNoMagicLinks | kNotProc | kBeneath)) == 0;
  if (plain && below == nullptr) return OpenTree(directory, path, step.a);
  const long tree = OpenSource(directory, path, below, step);
  if (tree >= 0 || errno != ENOENT || (step.flags & kMakeMissing) == 0) return tree;
  return MakeSource(path) == 0 ? OpenSource(directory, path, below, step) : -1;
}

uint64_t KindOf(const ChildState& state, const PlanStep& step) noexcept {
  if (step.a != kTargetLikeSource) return step.a;
  struct stat status {};
  const bool directory = ::fstat(Fd(state, step.fd2), &status) == 0 && S_ISDIR(status.st_mode);
  return directory ? kTargetDirectory : kTargetFile;
}

// fsopen, CMD_CREATE, fsmount of an empty read-only tmpfs.
long EmptyReadonlyTmpfs() noexcept {
  const long context = ::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  long mount = -1;
  if (::syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", "0", 0) == 0 &&
      ::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    mount = ::syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  }
  ::close(static_cast<int>(context));
  return mount;
}

// Attaches a clone of `source` on `target`.
int CoverWithClone(int source, int target) noexcept {
  const long clone = OpenTree(source, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  if (clone < 0) return -1;
  const int moved = MoveMount(static_cast<int>(clone), target, nullptr);
  ::close(static_cast<int>(clone));
  return moved;
}

// An image whose /dev is a link to its own root would offer a file of its choice instead (CVE-2025-31133).
bool IsNullDevice(int fd) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return false;
  if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)) return true;
  errno = ENODEV;
  return false;
}

int MaskPath(ChildState& state, const PlanStep& step) noexcept {
  const long target = OpenInRoot(Fd(state, step.fd), state.plan.Text(step.text), O_PATH | O_NOFOLLOW);
  if (target < 0) return -1;
  struct stat status {};
  int done = ::fstat(static_cast<int>(target), &status);
  if (done == 0 && S_ISLNK(status.st_mode)) {  // hiding what it leads to would hide nothing behind its other names
    errno = ELOOP;
    done = -1;
  } else if (done == 0 && !S_ISDIR(status.st_mode)) {
    done = IsNullDevice(Fd(state, step.fd2)) ? CoverWithClone(Fd(state, step.fd2), static_cast<int>(target)) : -1;
  } else if (done == 0 && state.slots[step.out] >= 0) {
    done = CoverWithClone(state.slots[step.out], static_cast<int>(target));
  } else if (done == 0) {  // the first one: later ones are clones of it, once it is attached
    done = Keep(state, step.out, EmptyReadonlyTmpfs());
    if (done == 0) done = MoveMount(state.slots[step.out], static_cast<int>(target), nullptr);
  }
  ::close(static_cast<int>(target));
  return done;
}

int ReadonlyPath(ChildState& state, const PlanStep& step) noexcept {
  const long target = OpenInRoot(Fd(state, step.fd), state.plan.Text(step.text), O_PATH);
  if (target < 0) return -1;
  const long clone = OpenTree(static_cast<int>(target), "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH);
  int done = clone < 0 ? -1 : SetAttributes(static_cast<int>(clone), {MOUNT_ATTR_RDONLY, 0, 0, 0}, true);
  if (done == 0) done = MoveMount(static_cast<int>(clone), static_cast<int>(target), nullptr);
  if (clone >= 0) ::close(static_cast<int>(clone));
  ::close(static_cast<int>(target));
  return done;
}

int PivotRoot(int root) noexcept {
  if (::fchdir(root) != 0) return -1;
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return -1;
  // The old root lies on top of the new one now; "." still names it (pivot_root(2), NOTES).
  if (::syscall(SYS_umount2, ".", MNT_DETACH) != 0) return -1;
  return ::chdir("/");
}

// a working directory that is a link to a leaked host directory must not be entered.
int ChangeDirectory(const char* path) noexcept {
  const long root = ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return -1;
  const long target = OpenTarget(static_cast<int>(root), path, kTargetDirectory);
  ::close(static_cast<int>(root));
  if (target < 0) return -1;
  const int done = ::fchdir(static_cast<int>(target));
  ::close(static_cast<int>(target));
  char where[PATH_MAX];
  if (done != 0 || ::syscall(SYS_getcwd, where, sizeof where) < 0) return -1;
  if (where[0] != '/') {  // "(unreachable)..."
    errno = EXDEV;
    return -1;
  }
  return 0;
}

int MakeNode(int directory, const char* name, const PlanStep& step) noexcept {
  if (::mknodat(directory, name, static_cast<mode_t>(step.a), static_cast<dev_t>(step.b)) != 0) return -1;
  // mknod obeys the umask, chmod does not; the directory is ours alone.
  if (::fchmodat(directory, name, static_cast<mode_t>(step.a & 07777), 0) != 0) return -1;
  if (step.c == 0) return 0;
  return ::fchownat(directory, name, static_cast<uid_t>(step.c), static_cast<gid_t>(step.c >> 32), AT_SYMLINK_NOFOLLOW);
}

int FsMount(ChildState& state, const PlanStep& step) noexcept {
  const int context = Fd(state, step.fd);
  if (::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return -1;
  if (Keep(state, step.out, ::syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, step.a)) != 0) return -1;
  ::close(context);
  state.slots[step.fd] = -1;
  return 0;
}

int FsConfig(int context, const char* key, const char* value) noexcept {
  const unsigned command = value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
  return static_cast<int>(::syscall(SYS_fsconfig, context, command, key, value, 0));
}

int FsConfigFd(int context, const char* key, int value) noexcept {
  return static_cast<int>(::syscall(SYS_fsconfig, context, FSCONFIG_SET_FD, key, nullptr, value));
}

int Close(ChildState& state, int16_t slot) noexcept {
  if (state.slots[slot] >= 0) ::close(state.slots[slot]);
  state.slots[slot] = -1;
  return 0;
}

}  // namespace

int RunMountStep(ChildState& state, const PlanStep& step) noexcept {
  const int fd = Fd(state, step.fd);
  const char* text = state.plan.Text(step.text);
  const char* text2 = state.plan.Text(step.text2);
  switch (step.op) {
    case Op::kOpenTree:
      return Keep(state, step.out, OpenStepTree(state, step));
    case Op::kSetAttributes:
      return SetAttributes(state, step);
    case Op::kFsOpen:
      return Keep(state, step.out, ::syscall(SYS_fsopen, text, FSOPEN_CLOEXEC));
    case Op::kFsConfig:
      if (step.fd2 != kNoSlot) return FsConfigFd(fd, text, Fd(state, step.fd2));
      return FsConfig(fd, text, text2);
    case Op::kFsMount:
      return FsMount(state, step);
    case Op::kOpenTarget:
      return Keep(state, step.out, OpenTarget(fd, text, KindOf(state, step)));
    case Op::kMoveMount:
      return MoveMount(fd, Fd(state, step.fd2), text);
    case Op::kMakeDirectory:
      return ::mkdirat(fd, text, static_cast<mode_t>(step.a));
    case Op::kMakeSymlink:
      return ::symlinkat(text, fd, text2);
    case Op::kMakeNode:
      return MakeNode(fd, text, step);
    case Op::kMaskPath:
      return MaskPath(state, step);
    case Op::kReadonlyPath:
      return ReadonlyPath(state, step);
    case Op::kPivotRoot:
      return PivotRoot(fd);
    case Op::kChangeDirectory:
      return ChangeDirectory(text);
    case Op::kChangeDirectoryHost:
      return ::chdir(text);
    case Op::kPrivateRoot:
      return static_cast<int>(::syscall(SYS_mount, "none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
    case Op::kClose:
      return Close(state, step.fd);
    case Op::kCopyUp:
      return CopyUp(fd, text, Fd(state, step.fd2));
    default:
      errno = EINVAL;
      return -1;
  }
}

}  // namespace fermata::runtime
