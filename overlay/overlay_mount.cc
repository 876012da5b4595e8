#include "overlay/overlay_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <system_error>
#include <thread>
#include <vector>

#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxStringBytes = 255;  // fsconfig(2) gives EINVAL for longer strings
constexpr unsigned kAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

Result<> Configure(int context, const char* key, const std::string& value) {
  if (::fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) return {};
  return Error::Errno("mount overlay: fsconfig ", key, "=", value);
}

Result<UniqueFd> Create(int context) {
  if (::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return Error::Errno("mount overlay: fsconfig create");
  }
  UniqueFd tree(::fsmount(context, FSMOUNT_CLOEXEC, kAttributes));
  if (!tree.valid()) return Error::Errno("mount overlay: fsmount");
  return tree;
}

Result<UniqueFd> OpenContext() {
  UniqueFd context(::fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context.valid()) return Error::Errno("mount overlay: fsopen");
  return context;
}

// Layer by layer; names are relative to the working directory of the thread.
Result<UniqueFd> MountAppending(std::span<const std::string> lower) {
  ASSIGN_OR_RETURN(const UniqueFd context, OpenContext());
  for (const std::string& name : lower) RETURN_IF_ERROR(Configure(context.get(), "lowerdir+", name));
  return Create(context.get());
}

Result<UniqueFd> MountJoined(std::span<const std::string> lower) {
  std::string joined;
  for (const std::string& name : lower) joined.append(joined.empty() ? "" : ":").append(name);
  if (joined.size() > kMaxStringBytes) {
    return Error::Make(ErrorCode::kFailedPrecondition, "mount overlay: the names of ", std::to_string(lower.size()),
                       " layers are longer than this kernel takes (255 bytes); Linux 6.5 has no such limit");
  }
  ASSIGN_OR_RETURN(const UniqueFd context, OpenContext());
  RETURN_IF_ERROR(Configure(context.get(), "lowerdir", joined));
  return Create(context.get());
}

// Runs `mount` on a thread of its own whose working directory is `directory`: names then are short, and
// unshare(CLONE_FS) keeps the other threads where they are.
Result<UniqueFd> MountIn(int directory, const std::function<Result<UniqueFd>()>& mount) {
  Result<UniqueFd> result = Error::Make(ErrorCode::kInternal, "mount overlay: no result");
  const auto run = [&] {
    if (::unshare(CLONE_FS) != 0) {
      result = Error::Errno("mount overlay: unshare");
    } else if (::fchdir(directory) != 0) {
      result = Error::Errno("mount overlay: fchdir");
    } else {
      result = mount();
    }
  };
  try {
    std::thread(run).join();
  } catch (const std::system_error& failure) {
    return Error::Make(ErrorCode::kResourceExhausted, "mount overlay: start thread: ", failure.what());
  }
  return result;
}

Result<UniqueFd> CloneReadOnly(int layers, const std::string& name) {
  UniqueFd tree(::open_tree(layers, name.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW));
  if (!tree.valid()) return Error::Errno("open_tree ", name);
  mount_attr attributes{};
  attributes.attr_set = kAttributes;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    return Error::Errno("mount_setattr ", name);
  }
  return tree;
}

}  // namespace

Result<UniqueFd> MountLayersReadOnly(const std::string& layers_dir, std::span<const std::string> lower_top_first) {
  if (lower_top_first.empty()) return Error::Make(ErrorCode::kInvalidArgument, "mount overlay: no layers");
  ASSIGN_OR_RETURN(const UniqueFd layers, OpenAt(AT_FDCWD, layers_dir, O_RDONLY | O_DIRECTORY));
  if (lower_top_first.size() == 1) return CloneReadOnly(layers.get(), lower_top_first.front());
  return MountIn(layers.get(), [&]() -> Result<UniqueFd> {
    auto tree = MountAppending(lower_top_first);
    // An old kernel says so with EINVAL, some only at "create".
    if (tree || tree.error().saved_errno() != EINVAL) return tree;
    return MountJoined(lower_top_first);
  });
}

bool LowerdirAppendSupported(const std::string& scratch_dir) {
  const auto scratch = OpenAt(AT_FDCWD, scratch_dir, O_RDONLY | O_DIRECTORY);
  if (!scratch) return false;
  const std::string name = ".lowerdir-probe";
  const auto probe = MakeDirectories(scratch->get(), name, 0700);
  if (!probe) return false;
  bool supported = false;
  if (::mkdirat(probe->get(), "a", 0700) == 0 && ::mkdirat(probe->get(), "b", 0700) == 0) {
    const std::vector<std::string> lower = {"a", "b"};
    supported = MountIn(probe->get(), [&] { return MountAppending(lower); }).has_value();
  }
  (void)RemoveTree(scratch->get(), name);  // empty directories; the next probe would tell
  return supported;
}

}  // namespace fermata::overlay
