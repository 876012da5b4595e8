#include "overlay/layer_path.h"

#include <sys/stat.h>

#include <algorithm>

#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {
constexpr size_t kMaxPathBytes = 4095;
constexpr size_t kMaxComponentBytes = 255;
constexpr size_t kMaxDepth = 1024;

Error TooDeep(std::string_view path) {
  return Error::Make(ErrorCode::kInvalidArgument, path.substr(0, kMaxComponentBytes),
                     ": deeper than the limit of 1024 levels");
}

// How many levels `directory` lies below `root`.
Result<size_t> DepthOf(int root, int directory) {
  struct stat top {};
  struct stat status {};
  if (::fstat(root, &top) != 0 || ::fstat(directory, &status) != 0) return Error::Errno("stat");
  UniqueFd current;
  for (size_t depth = 0; depth <= kMaxDepth; ++depth) {
    if (status.st_dev == top.st_dev && status.st_ino == top.st_ino) return depth;
    ASSIGN_OR_RETURN(current, OpenAt(current.valid() ? current.get() : directory, "..", O_PATH | O_DIRECTORY));
    if (::fstat(current.get(), &status) != 0) return Error::Errno("stat ..");
  }
  return kMaxDepth + 1;
}

}  // namespace

Result<std::string> CleanLayerPath(std::string_view name) {
  const auto refused = [&](std::string_view reason) {
    return Error::Make(ErrorCode::kInvalidArgument, name.substr(0, kMaxComponentBytes), ": ", reason);
  };
  if (name.size() > kMaxPathBytes) return refused("longer than the limit of 4095 bytes");
  std::string path;
  size_t depth = 0;
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view component = name.substr(begin, end - begin);
    begin = end + 1;
    if (component.empty() || component == ".") continue;
    if (component == "..") return refused("the name climbs out by \"..\"");
    if (component.size() > kMaxComponentBytes) return refused("a component is longer than the limit of 255 bytes");
    if (++depth > kMaxDepth) return TooDeep(path);
    if (!path.empty()) path += '/';
    path += component;
  }
  return path;
}

Result<UniqueFd> OpenLayerDirectory(int root, const std::string& path) {
  auto plain = OpenBeneath(root, path, O_RDONLY | O_DIRECTORY);
  if (plain || plain.error().saved_errno() != ELOOP) return plain;
  ASSIGN_OR_RETURN(UniqueFd directory, OpenInRoot(root, path, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const size_t depth, DepthOf(root, directory.get()));
  if (depth >= kMaxDepth) return TooDeep(path);
  return directory;
}

Result<LayerDirectories> MakeLayerDirectories(int root, const std::string& path) {
  LayerDirectories made;
  ASSIGN_OR_RETURN(made.last, OpenInRoot(root, ".", O_RDONLY | O_DIRECTORY));
  size_t depth = 0;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    begin = end + 1;
    if (++depth >= kMaxDepth) return TooDeep(path);
    const bool is_new = ::mkdirat(made.last.get(), name.c_str(), 0700) == 0;
    if (!is_new && errno != EEXIST) return Error::Errno("mkdir ", path.substr(0, end));
    auto next = OpenAt(made.last.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!next) {
      // A link: by the whole path, so that it is seen from the layer's root. The kernel follows 40 in one path.
      next = OpenInRoot(root, path.substr(0, end), O_RDONLY | O_DIRECTORY);
      if (!next) return std::move(next).error();
      ASSIGN_OR_RETURN(depth, DepthOf(root, next->get()));
    }
    made.last = std::move(next).value();
    if (!is_new) continue;
    ++made.count;
    if (::fchmod(made.last.get(), 0755) != 0) return Error::Errno("chmod ", name);  // whatever the umask is
  }
  return made;
}

}  // namespace fermata::overlay
