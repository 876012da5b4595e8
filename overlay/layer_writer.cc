#include "overlay/layer_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "overlay/layer_path.h"
#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

constexpr uint64_t kBlockBytes = 4096;
constexpr uint64_t kEntriesPerReserveCheck = 1024;
constexpr uint64_t kBytesPerReserveCheck = uint64_t{64} << 20;
constexpr uint64_t kReserveBytes = uint64_t{1} << 30;
constexpr uint64_t kReserveInodes = 50'000;

// What an errno means when the layer chose the names: its own fault, or the disk's.
Error Meaning(Error error) {
  switch (error.saved_errno()) {
    case ENOSPC:
    case EDQUOT:
      return std::move(error).WithCode(ErrorCode::kResourceExhausted);
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EXDEV:
    case ENOENT:
    case EEXIST:
    case EISDIR:
    case EFBIG:
    case EMLINK:
    case EINVAL:  // an attribute or a time that the kernel does not take
    case ERANGE:
    case E2BIG:
      return std::move(error).WithCode(ErrorCode::kInvalidArgument);
    default:
      return error;
  }
}

Error Refused(std::string_view path, std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, path.empty() ? "." : path, ": ", reason);
}

bool IsWhiteoutDevice(const struct stat& status) { return S_ISCHR(status.st_mode) && status.st_rdev == 0; }

// Nothing else may come in with a layer: trusted.overlay.* and security.* steer overlayfs and the kernel.
bool IsAllowedAttribute(std::string_view name) {
  return name == "security.capability" || (name.starts_with("user.") && !name.starts_with("user.overlay."));
}

}  // namespace

LayerWriter::LayerWriter(int layer_dir, const LayerLimits& limits)
    : root_(layer_dir), limits_(limits), privileged_(::geteuid() == 0) {
  directories_[""] = {};
}

Result<> LayerWriter::Add(TarReader& tar) {
  if (auto added = AddEntry(tar); !added) return Meaning(std::move(added).error());
  return {};
}

Result<> LayerWriter::AddEntry(TarReader& tar) {
  if (++entries_ > limits_.max_entries) {
    return Refused("layer", "more than the limit of " + std::to_string(limits_.max_entries) + " entries");
  }
  if (entries_ % kEntriesPerReserveCheck == 1) RETURN_IF_ERROR(CheckReserve());
  const char* name = archive_entry_pathname(tar.entry());
  if (name == nullptr || *name == '\0') return Refused("layer", "an entry without a name");
  ASSIGN_OR_RETURN(const std::string path, CleanLayerPath(name));
  ASSIGN_OR_RETURN(const Metadata metadata, MetadataOf(tar.entry()), path);
  if (path.empty()) {
    const bool hard_link = archive_entry_hardlink(tar.entry()) != nullptr;
    if (hard_link || archive_entry_filetype(tar.entry()) != AE_IFDIR) {
      return Refused(path, "the root is not a directory");
    }
    directories_[""] = metadata;
    return SetAttributes(root_, tar.entry(), ".");
  }
  ASSIGN_OR_RETURN(const Place place, Locate(path));
  if (IsWhiteout(path)) return AddWhiteout(place);
  return AddNode(place, tar, metadata);
}

Result<LayerWriter::Metadata> LayerWriter::MetadataOf(archive_entry* entry) {
  constexpr int64_t kMaxId = 4294967294;  // 2^32-1 means "leave as it is" to chown(2)
  const int64_t uid = archive_entry_uid(entry);
  const int64_t gid = archive_entry_gid(entry);
  if (uid < 0 || uid > kMaxId || gid < 0 || gid > kMaxId) return Refused("owner", "out of range");
  Metadata metadata;
  metadata.uid = static_cast<uint32_t>(uid);
  metadata.gid = static_cast<uint32_t>(gid);
  metadata.mode = archive_entry_perm(entry) & 07777;
  metadata.mtime = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
  metadata.has_mtime = archive_entry_mtime_is_set(entry) != 0;
  return metadata;
}

// The parent directory of `path`, made where it is missing. Links in it stay inside the layer.
Result<LayerWriter::Place> LayerWriter::Locate(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
  Place place{-1, slash == std::string::npos ? path : path.substr(slash + 1), path};
  if (!parent_.valid() || parent != parent_path_) {
    parent_.Reset();
    ASSIGN_OR_RETURN(parent_, OpenParent(parent), path);
    parent_path_ = parent;
  }
  place.parent = parent_.get();
  return place;
}

Result<UniqueFd> LayerWriter::OpenParent(const std::string& parent) {
  if (parent.empty()) return OpenInRoot(root_, ".", O_RDONLY | O_DIRECTORY);
  if (parent.starts_with(".wh.") || parent.find("/.wh.") != std::string::npos) {
    return Error::Make(ErrorCode::kInvalidArgument, "below a whiteout");
  }
  auto found = OpenLayerDirectory(root_, parent);
  if (found || found.error().saved_errno() != ENOENT) return found;
  ASSIGN_OR_RETURN(LayerDirectories made, MakeLayerDirectories(root_, parent));
  usage_.inodes += made.count;
  usage_.bytes += made.count * kBlockBytes;
  return std::move(made.last);
}

Result<> LayerWriter::AddNode(const Place& place, TarReader& tar, const Metadata& metadata) {
  archive_entry* entry = tar.entry();
  if (archive_entry_hardlink(entry) != nullptr) return AddHardLink(place, entry);
  switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
      return AddDirectory(place, entry, metadata);
    case AE_IFREG:
      return AddFile(place, tar, metadata);
    case AE_IFLNK:
      return AddSymlink(place, entry, metadata);
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
      return AddSpecial(place, entry, metadata);
    default:
      return Refused(place.path, "a kind of file that layers do not have");
  }
}

// image-spec layer.md: a whiteout hides what lower layers have, never what this layer has itself.
Result<> LayerWriter::AddWhiteout(const Place& place) {
  const std::string hidden = place.name.substr(4);
  if (place.name == ".wh..wh..opq") return SetOpaque(place.parent, place.path);
  if (hidden.empty() || hidden == "." || hidden == ".." || hidden.starts_with(".wh.")) {
    return Refused(place.path, "not a whiteout that layers may have");
  }
  struct stat status {};
  if (::fstatat(place.parent, hidden.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    if (!S_ISDIR(status.st_mode)) return {};
    ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(place.parent, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    return SetOpaque(directory.get(), place.path);
  }
  if (::mknodat(place.parent, hidden.c_str(), S_IFCHR, makedev(0, 0)) != 0) return Error::Errno("mknod ", place.path);
  ++usage_.inodes;
  return {};
}

Result<> LayerWriter::SetOpaque(int directory, const std::string& path) {
  if (!privileged_) return {};
  if (::fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0) != 0) return Error::Errno("setxattr ", path);
  return {};
}

// Makes room for something that is not a directory.
Result<> LayerWriter::Clear(const Place& place) {
  if (::unlinkat(place.parent, place.name.c_str(), 0) == 0) {
    if (usage_.inodes > 0) --usage_.inodes;
    return {};
  }
  if (errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return Error::Errno("unlink ", place.path);
  // The directory of the last entry may be inside of what goes away; it is only an open descriptor then,
  // unless it is the parent itself, which stays. Tables are by path and forgive missing directories.
  return RemoveTree(place.parent, place.name);
}

Result<> LayerWriter::AddDirectory(const Place& place, archive_entry* entry, const Metadata& metadata) {
  struct stat status {};
  const bool exists = ::fstatat(place.parent, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (!exists || !S_ISDIR(status.st_mode)) {
    if (exists) RETURN_IF_ERROR(Clear(place));
    if (::mkdirat(place.parent, place.name.c_str(), 0700) != 0) return Error::Errno("mkdir ", place.path);
    ++usage_.inodes;
    usage_.bytes += kBlockBytes;
  }
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(place.parent, place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (exists && IsWhiteoutDevice(status)) RETURN_IF_ERROR(SetOpaque(fd.get(), place.path));
  RETURN_IF_ERROR(SetAttributes(fd.get(), entry, place.path));
  if (::fstat(fd.get(), &status) != 0) return Error::Errno("stat ", place.path);
  Metadata& kept = directories_[place.path];
  kept = metadata;
  kept.inode = status.st_ino;
  return {};
}

Result<> LayerWriter::AddFile(const Place& place, TarReader& tar, const Metadata& metadata) {
  const int64_t size = archive_entry_size(tar.entry());
  if (size < 0 || static_cast<uint64_t>(size) > limits_.max_bytes) {
    return Refused(place.path, "larger than the limit of " + std::to_string(limits_.max_bytes) + " bytes");
  }
  if (static_cast<uint64_t>(size) > kBytesPerReserveCheck) RETURN_IF_ERROR(CheckReserve());
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  auto created = OpenAt(place.parent, place.name, flags, 0600);
  if (!created && created.error().saved_errno() == EEXIST) {
    RETURN_IF_ERROR(Clear(place));
    created = OpenAt(place.parent, place.name, flags, 0600);
  }
  ASSIGN_OR_RETURN(const UniqueFd fd, std::move(created));
  ++usage_.inodes;
  TarBlock block;
  uint64_t written = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, tar.ReadBlock(block), place.path);
    if (!more) break;
    if (block.offset + block.data.size() > static_cast<uint64_t>(size))
      return Refused(place.path, "data behind its end");
    if (block.offset != written && ::lseek(fd.get(), static_cast<off_t>(block.offset), SEEK_SET) < 0) {
      return Error::Errno("seek ", place.path);
    }
    RETURN_IF_ERROR(WriteAll(fd.get(), block.data), place.path);
    written = block.offset + block.data.size();
    usage_.bytes += (block.data.size() + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  }
  // A hole at the end has no block.
  if (written != static_cast<uint64_t>(size) && ::ftruncate(fd.get(), size) != 0) {
    return Error::Errno("truncate ", place.path);
  }
  // chown clears set-id bits and security.capability (chown(2)), so it comes first.
  if (privileged_ && ::fchown(fd.get(), metadata.uid, metadata.gid) != 0) return Error::Errno("chown ", place.path);
  if (::fchmod(fd.get(), metadata.mode) != 0) return Error::Errno("chmod ", place.path);
  RETURN_IF_ERROR(SetAttributes(fd.get(), tar.entry(), place.path));
  const timespec times[2] = {metadata.mtime, metadata.mtime};
  if (metadata.has_mtime && ::futimens(fd.get(), times) != 0) return Error::Errno("set times ", place.path);
  return {};
}

Result<> LayerWriter::AddHardLink(const Place& place, archive_entry* entry) {
  if (archive_entry_size(entry) > 0) return Refused(place.path, "a hard link with data");
  const char* link = archive_entry_hardlink(entry);
  ASSIGN_OR_RETURN(const std::string target, CleanLayerPath(link), place.path, "hard link");
  const size_t slash = target.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : target.substr(0, slash);
  const std::string name = slash == std::string::npos ? target : target.substr(slash + 1);
  const auto directory = OpenInRoot(root_, parent, O_RDONLY | O_DIRECTORY);
  struct stat status {};
  if (!directory || ::fstatat(directory->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return Refused(place.path,
                   "hard link to " + target +
                       ", which this layer does not have (links to files of lower layers are not supported)");
  }
  if (!S_ISREG(status.st_mode)) {
    return Refused(place.path, "hard link to " + target + ", which is no regular file");
  }
  struct stat existing {};
  if (::fstatat(place.parent, place.name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) == 0) {
    if (existing.st_dev == status.st_dev && existing.st_ino == status.st_ino) return {};
    RETURN_IF_ERROR(Clear(place));
  }
  if (::linkat(directory->get(), name.c_str(), place.parent, place.name.c_str(), 0) != 0) {
    return Error::Errno("link ", place.path);
  }
  return {};
}

Result<> LayerWriter::AddSymlink(const Place& place, archive_entry* entry, const Metadata& metadata) {
  const char* target = archive_entry_symlink(entry);
  if (target == nullptr || *target == '\0') return Refused(place.path, "a symbolic link to nothing");
  RETURN_IF_ERROR(Clear(place));
  const char* name = place.name.c_str();
  if (::symlinkat(target, place.parent, name) != 0) return Error::Errno("symlink ", place.path);
  ++usage_.inodes;
  if (privileged_ && ::fchownat(place.parent, name, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return Error::Errno("chown ", place.path);
  }
  const timespec times[2] = {metadata.mtime, metadata.mtime};
  if (metadata.has_mtime && ::utimensat(place.parent, name, times, AT_SYMLINK_NOFOLLOW) != 0) {
    return Error::Errno("set times ", place.path);
  }
  return {};
}

Result<> LayerWriter::AddSpecial(const Place& place, archive_entry* entry, const Metadata& metadata) {
  const mode_t type = archive_entry_filetype(entry);
  const dev_t device = type == AE_IFIFO ? 0 : makedev(archive_entry_rdevmajor(entry), archive_entry_rdevminor(entry));
  if (type == AE_IFCHR && device == 0) return Refused(place.path, "the whiteout device may not come in with a layer");
  if (type != AE_IFIFO && !privileged_) return {};
  RETURN_IF_ERROR(Clear(place));
  const char* name = place.name.c_str();
  if (::mknodat(place.parent, name, type | 0600, device) != 0) return Error::Errno("mknod ", place.path);
  ++usage_.inodes;
  if (privileged_ && ::fchownat(place.parent, name, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return Error::Errno("chown ", place.path);
  }
  // Nobody else reaches the staging directory, so the name is still the node just made.
  if (::fchmodat(place.parent, name, metadata.mode, 0) != 0) return Error::Errno("chmod ", place.path);
  const timespec times[2] = {metadata.mtime, metadata.mtime};
  if (metadata.has_mtime && ::utimensat(place.parent, name, times, AT_SYMLINK_NOFOLLOW) != 0) {
    return Error::Errno("set times ", place.path);
  }
  return {};
}

Result<> LayerWriter::SetAttributes(int fd, archive_entry* entry, const std::string& path) {
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  (void)archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    if (name == nullptr || !IsAllowedAttribute(name)) continue;
    const bool user = std::string_view(name).starts_with("user.");
    if (!user && !privileged_) continue;
    if (::fsetxattr(fd, name, value, size, 0) == 0) continue;
    if (user && errno == ENOTSUP) continue;  // a file system without them: what runs cannot see any either
    return Error::Errno("setxattr ", name, " of ", path);
  }
  return {};
}

Result<> LayerWriter::CheckReserve() {
  struct statvfs status {};
  if (::fstatvfs(root_, &status) != 0) return Error::Errno("statvfs");
  const uint64_t unit = status.f_frsize;
  const uint64_t reserve_bytes = std::min(kReserveBytes, status.f_blocks * unit / 20);
  if (status.f_bavail * unit < reserve_bytes) {
    return Error::Make(ErrorCode::kResourceExhausted, "unpack: less than ", std::to_string(reserve_bytes >> 20),
                       " MiB of disk are left");
  }
  const uint64_t reserve_inodes = std::min<uint64_t>(kReserveInodes, status.f_files / 20);
  if (status.f_files != 0 && status.f_favail < reserve_inodes) {
    return Error::Make(ErrorCode::kResourceExhausted, "unpack: less than ", std::to_string(reserve_inodes),
                       " inodes are left");
  }
  return {};
}

// Children before parents: without root a directory may become closed to us, and its times would move.
Result<> LayerWriter::Finish() {
  parent_.Reset();
  for (auto next = directories_.rbegin(); next != directories_.rend(); ++next) {
    const auto& [path, metadata] = *next;
    const auto fd = OpenInRoot(root_, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd) continue;  // a later entry took its place
    struct stat status {};
    if (::fstat(fd->get(), &status) != 0) return Error::Errno("stat ", path);
    if (metadata.inode != 0 && metadata.inode != status.st_ino) continue;  // a link in its path was set since
    if (privileged_ && ::fchown(fd->get(), metadata.uid, metadata.gid) != 0) return Error::Errno("chown ", path);
    if (::fchmod(fd->get(), metadata.mode) != 0) return Error::Errno("chmod ", path);
    const timespec times[2] = {metadata.mtime, metadata.mtime};
    if (metadata.has_mtime && ::futimens(fd->get(), times) != 0) return Error::Errno("set times ", path);
  }
  return {};
}

}  // namespace fermata::overlay
