// Files and directories by descriptor. Nothing here keeps state; any thread.
//
// Every descriptor is close-on-exec from birth. Directories are held as descriptors and names are
// given relative to them; AT_FDCWD with an absolute path is for configuration and start-up only.
// Paths that someone else may have arranged go through OpenInRoot or OpenBeneath (openat2(2)).
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata {

// openat(2) with O_CLOEXEC, retried on EINTR. The error is "open <path>: ...".
Result<UniqueFd> OpenAt(int directory, const std::string& path, int flags, mode_t mode = 0);

// openat2(2) as if `root` were "/": links, also absolute ones, stay inside; magic links are refused.
Result<UniqueFd> OpenInRoot(int root, const std::string& path, int flags, mode_t mode = 0);

// openat2(2), refusing to leave `directory` by "..", an absolute link or any symbolic link at all.
Result<UniqueFd> OpenBeneath(int directory, const std::string& path, int flags, mode_t mode = 0);

// The same, but following links that stay inside.
Result<UniqueFd> OpenWithin(int directory, const std::string& path, int flags);

// Opens a directory below `directory`, making what is missing (mode 0755 or as given).
Result<UniqueFd> MakeDirectories(int directory, const std::string& path, mode_t mode = 0755);
// The same for a path without "..", following no link.
Result<UniqueFd> MakeDirectoriesBeneath(int directory, const std::string& path, mode_t mode = 0755);

// The whole file; kResourceExhausted when it is longer than `limit_bytes`.
Result<std::string> ReadAll(int fd, size_t limit_bytes = size_t{16} << 20);
Result<std::string> ReadFileAt(int directory, const std::string& path, size_t limit_bytes = size_t{16} << 20);

// All bytes, through short writes and EINTR.
Result<> WriteAll(int fd, std::string_view data);
// Writes to an existing (control) file in one write(2), as cgroupfs and procfs want it.
Result<> WriteControl(int directory, const std::string& path, std::string_view data);
// Replaces `name` by a new file: temporary name, write, rename. No fsync.
Result<> WriteFileAtomic(int directory, const std::string& name, std::string_view data, mode_t mode = 0644);

// Names in a directory without "." and "..", sorted.
Result<std::vector<std::string>> ListDirectory(int directory);

// Removes `name` below `directory` with all in it; succeeds if nothing is there. Never follows links,
// never crosses into another mount.
Result<> RemoveTree(int directory, const std::string& name);

// The absolute path that a descriptor stands for now (readlink of /proc/self/fd/N); for messages.
std::string PathOf(int fd);

}  // namespace fermata
