#include "cgroups/placement.h"

#include <algorithm>
#include <climits>

#include "cgroups/internal.h"

namespace fermata::cgroups {
namespace {

// What lies below still has to fit: "<id>/exec-<n>" and the name of a control file.
constexpr size_t kMaxParentBytes = PATH_MAX - 512;

// What is wrong with a name; "" if nothing is.
std::string_view Fault(std::string_view name) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (name.empty()) return "empty component";
  if (name == "." || name == "..") return "component \".\" or \"..\"";
  if (name.size() > NAME_MAX) return "component longer than 255 bytes";
  if (name.find('/') != std::string_view::npos) return "name with \"/\"";
  if (std::any_of(name.begin(), name.end(), is_control)) return "control character";
  return "";
}

}  // namespace

Result<std::string> NormalizeParent(std::string_view cgroup_parent, std::string_view fallback) {
  std::string_view path = cgroup_parent.empty() ? fallback : cgroup_parent;
  if (path.starts_with('/')) path.remove_prefix(1);
  std::string_view fault = path.size() > kMaxParentBytes ? "too long" : "";
  for (const std::string_view name : Split(path, '/')) {
    if (fault.empty()) fault = Fault(name);
  }
  if (fault.empty()) return std::string(path);
  return Error::Make(ErrorCode::kInvalidArgument, "cgroup parent \"", path.substr(0, 256), "\": ", fault);
}

Result<std::string> JoinGroup(std::string_view parent, std::string_view id) {
  if (const std::string_view fault = Fault(id); !fault.empty()) {
    return Error::Make(ErrorCode::kInvalidArgument, "control group name \"", id.substr(0, 256), "\": ", fault);
  }
  return std::string(parent).append("/").append(id);
}

}  // namespace fermata::cgroups
