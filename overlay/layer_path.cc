#include "overlay/layer_path.h"

#include <sys/stat.h>

#include <algorithm>

#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {
constexpr size_t kMaxPathBytes = 4095;
constexpr size_t kMaxComponentBytes = 255;
constexpr size_t kMaxDepth = 1024;
}  // namespace

Result<std::string> CleanLayerPath(std::string_view name) {
  const auto refused = [&](std::string_view reason) {
    return Error::Make(ErrorCode::kInvalidArgument, name.substr(0, kMaxComponentBytes), ": ", reason);
  };
  if (name.size() > kMaxPathBytes) return refused("the name is longer than 4095 bytes");
  std::string path;
  size_t depth = 0;
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view component = name.substr(begin, end - begin);
    begin = end + 1;
    if (component.empty() || component == ".") continue;
    if (component == "..") return refused("the name climbs out by \"..\"");
    if (component.size() > kMaxComponentBytes) return refused("a component is longer than 255 bytes");
    if (++depth > kMaxDepth) return refused("deeper than 1024 levels");
    if (!path.empty()) path += '/';
    path += component;
  }
  return path;
}

Result<uint64_t> MakeLayerDirectories(int root, const std::string& path) {
  uint64_t made = 0;
  ASSIGN_OR_RETURN(UniqueFd current, OpenInRoot(root, ".", O_RDONLY | O_DIRECTORY));
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    if (::mkdirat(current.get(), name.c_str(), 0700) == 0) {
      ++made;
      ASSIGN_OR_RETURN(current, OpenAt(current.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      if (::fchmod(current.get(), 0755) != 0) return Error::Errno("chmod ", name);  // whatever the umask is
    } else if (errno == EEXIST) {
      // By the whole path, so that a link in it is seen from the layer's root.
      ASSIGN_OR_RETURN(current, OpenInRoot(root, path.substr(0, end), O_RDONLY | O_DIRECTORY));
    } else {
      return Error::Errno("mkdir ", path.substr(0, end));
    }
    begin = end + 1;
  }
  return made;
}

}  // namespace fermata::overlay
