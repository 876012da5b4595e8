#include "sandbox/pods/pod_volumes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/file.h"
#include "sandbox/pods/file_volume.h"
#include "sandbox/pods/host_path.h"
#include "sandbox/pods/manifest_expand.h"
#include "sandbox/pods/memory_volume.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

using Kind = PodVolume::Kind;

constexpr mode_t kOpenToAll = 0777;  // as kubelet's emptyDir
constexpr int kMaxDepth = 64;

std::string ClaimPath(const Engine& engine, const PodManifest& manifest, const PodVolume& volume) {
  return engine.config.data_dir + "/volumes/" + manifest.sandbox.name_space + "_" + volume.claim;
}

std::string PathOfVolume(const PodPlace& place, const PodVolume& volume) {
  if (volume.kind == Kind::kHostPath) return volume.host_path;
  if (volume.kind == Kind::kClaim) return ClaimPath(place.engine, place.manifest, volume);
  return place.directory + "/volumes/" + volume.name;
}

Result<UniqueFd> MakeVolume(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(AT_FDCWD, path.substr(0, path.rfind('/')), 0700));  // others get no further
  return MakeDirectories(AT_FDCWD, path);
}

Result<> GiveToGroup(int fd, mode_t mode, gid_t group) {
  if (::fchown(fd, static_cast<uid_t>(-1), group) != 0) return Error::Errno("chown");
  // After the owner: a change of that takes the set-group-id bit away.
  const mode_t more = S_ISDIR(mode) ? S_ISGID | 0770 : 0660;
  if (::fchmod(fd, (mode & 07777) | more) != 0) return Error::Errno("chmod");
  return {};
}

// All below an open directory; links and special files are left as they are, and nothing is followed.
Result<> GiveTreeToGroup(int directory, gid_t group, int depth) {
  if (depth > kMaxDepth) return Error::Make(ErrorCode::kInvalidArgument, "nested deeper than 64 directories");
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) continue;
    auto file = OpenAt(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!file || ::fstat(file->get(), &status) != 0) continue;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) continue;
    RETURN_IF_ERROR(GiveToGroup(file->get(), status.st_mode, group), name);
    if (S_ISDIR(status.st_mode)) RETURN_IF_ERROR(GiveTreeToGroup(file->get(), group, depth + 1), name);
  }
  return {};
}

Result<> ApplyGroup(const PodManifest& manifest, const PodVolume& volume, int directory) {
  if (!manifest.fs_group || volume.readonly) return {};
  const auto group = static_cast<gid_t>(*manifest.fs_group);
  struct stat status {};
  if (::fstat(directory, &status) != 0) return Error::Errno("stat");
  const bool fits = status.st_gid == group && (status.st_mode & (S_ISGID | 0070)) == (S_ISGID | 0070);
  if (fits && manifest.fs_group_on_mismatch) return {};
  RETURN_IF_ERROR(GiveTreeToGroup(directory, group, 0));
  return GiveToGroup(directory, status.st_mode, group);  // last: it tells that all is done
}

Result<> PrepareEmptyDir(const PodPlace& place, const PodVolume& volume) {
  const std::string path = PathOfVolume(place, volume);
  ASSIGN_OR_RETURN(UniqueFd made, MakeVolume(path));
  if (volume.memory) {
    RETURN_IF_ERROR(MountMemoryVolume(path, volume.limit_bytes));
    ASSIGN_OR_RETURN(made, OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }
  if (::fchmod(made.get(), kOpenToAll) != 0) return Error::Errno("chmod ", path);
  return ApplyGroup(place.manifest, volume, made.get());
}

Result<> PrepareClaim(const PodPlace& place, const PodVolume& volume) {
  const std::string path = PathOfVolume(place, volume);
  struct stat status {};
  const bool fresh = ::lstat(path.c_str(), &status) != 0;
  ASSIGN_OR_RETURN(const UniqueFd made, MakeVolume(path));
  if (fresh && ::fchmod(made.get(), kOpenToAll) != 0) return Error::Errno("chmod ", path);
  return ApplyGroup(place.manifest, volume, made.get());
}

Result<> PrepareFiles(const PodPlace& place, const PodVolume& volume, const PodFacts& facts) {
  ASSIGN_OR_RETURN(const UniqueFd made, MakeVolume(PathOfVolume(place, volume)));
  std::vector<FileContent> files;
  for (const VolumeFile& file : volume.files) {
    files.push_back({file.path, ValueOf(file.value, place.manifest, facts), file.mode.value_or(volume.default_mode)});
  }
  return WriteFileVolume(made.get(), files, place.manifest.fs_group);
}

Result<> PrepareOne(const PodPlace& place, const PodVolume& volume, const PodFacts& facts) {
  switch (volume.kind) {
    case Kind::kHostPath:
      return PrepareHostPath(*place.engine.paths, volume.host_path, volume.host_path_type);
    case Kind::kClaim:
      return PrepareClaim(place, volume);
    case Kind::kFiles:
      return PrepareFiles(place, volume, facts);
    case Kind::kImage:
      return {};  // pulled before; its files are mounted as they are
    case Kind::kEmptyDir:
      break;
  }
  return PrepareEmptyDir(place, volume);
}

Result<std::string> ExpandedSubPath(const VolumeMount& mount, const std::vector<std::string>& variables) {
  if (!mount.expand_sub_path) return mount.sub_path;
  std::map<std::string, std::string> values;
  for (const std::string& entry : variables) {
    const size_t equals = entry.find('=');
    values[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  constexpr size_t kMaxPath = 4096;
  ASSIGN_OR_RETURN(std::string path, Expand(mount.sub_path, values, kMaxPath), "subPathExpr of ", mount.volume);
  if (path.find("$(") != std::string::npos) {
    return Error::Make(ErrorCode::kInvalidArgument, "subPathExpr of ", mount.volume, ": names a missing variable");
  }
  RETURN_IF_ERROR(CheckRelativePath(path), "subPathExpr of ", mount.volume);
  return path;
}

// As kubelet: with the mode of the volume. What cannot be made so, because a link is on the way, is left to the
// container's own process, which finds its way inside the volume.
void MakeSubPath(const std::string& volume, const std::string& sub_path) {
  auto base = OpenAt(AT_FDCWD, volume, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  struct stat status {};
  if (!base || ::fstat(base->get(), &status) != 0) return;
  if (auto there = OpenInRoot(base->get(), sub_path, O_PATH); there || there.error().saved_errno() != ENOENT) return;
  const auto made = MakeDirectoriesBeneath(base->get(), sub_path);
  if (made) (void)::fchmod(made->get(), status.st_mode & 07777);  // else the container may find it closed
}

}  // namespace

Result<> CheckClaims(const Engine& engine, const PodManifest& manifest) {
  for (const PodVolume& volume : manifest.volumes) {
    if (volume.kind != Kind::kClaim || volume.claim_declared) continue;
    struct stat status {};
    if (::lstat(ClaimPath(engine, manifest, volume).c_str(), &status) == 0) continue;
    return Error::Make(ErrorCode::kNotFound, "volume ", volume.name, ": the file has no PersistentVolumeClaim ",
                       volume.claim, ", and there is none from before");
  }
  return {};
}

Result<> PrepareVolumes(const PodPlace& place, const PodFacts& facts) {
  for (const PodVolume& volume : place.manifest.volumes) {
    RETURN_IF_ERROR(PrepareOne(place, volume, facts), "volume ", volume.name);
  }
  return {};
}

Result<std::vector<ContainerMount>> MountsOf(const PodPlace& place, const PodContainer& container,
                                             const std::vector<std::string>& variables) {
  std::vector<ContainerMount> mounts;
  const auto& volumes = place.manifest.volumes;
  for (const VolumeMount& mount : container.volume_mounts) {
    const auto volume = std::ranges::find(volumes, mount.volume, &PodVolume::name);
    ContainerMount added;
    added.container_path = mount.mount_path;
    ASSIGN_OR_RETURN(const std::string sub_path, ExpandedSubPath(mount, variables));
    if (volume->kind == Kind::kImage) {
      added.image = volume->image;
      added.image_sub_path = sub_path;
      added.readonly = true;
      mounts.push_back(std::move(added));
      continue;
    }
    added.host_path = PathOfVolume(place, *volume);
    added.readonly = mount.readonly || volume->readonly || volume->kind == Kind::kFiles;
    added.recursive_readonly = mount.recursive_readonly;
    added.propagation = mount.propagation;
    added.sub_path = sub_path;
    const bool ours = volume->kind == Kind::kEmptyDir || volume->kind == Kind::kClaim;
    if (ours && !added.sub_path.empty()) MakeSubPath(added.host_path, added.sub_path);
    mounts.push_back(std::move(added));
  }
  return mounts;
}

Result<> RemovePodDirectory(const std::string& parent, const std::string& uid) {
  RETURN_IF_ERROR(UnmountMemoryVolumes(parent + "/" + uid + "/volumes"));
  auto directory = OpenAt(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY);
  if (!directory) return {};  // no pod was ever made
  return RemoveTree(directory->get(), uid);
}

}  // namespace fermata::sandbox::pods
