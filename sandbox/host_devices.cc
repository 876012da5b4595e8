// Devices of the host that a container asks for; part of launch_spec.h.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "cgroups/devices.h"
#include "sandbox/launch_spec.h"

namespace fermata::sandbox {
namespace {

namespace fs = std::filesystem;

// Not devices of the host, or each container's own.
constexpr std::array kNotFromHost = {"pts",  "shm",    "mqueue",  "fd",  "console", "ptmx",   "null",  "zero",
                                     "full", "random", "urandom", "tty", "stdin",   "stdout", "stderr"};

std::optional<runtime::Device> NodeAt(const std::string& host_path, const std::string& container_path) {
  struct stat status {};
  if (::stat(host_path.c_str(), &status) != 0) return std::nullopt;
  const bool block = S_ISBLK(status.st_mode);
  if (!block && !S_ISCHR(status.st_mode)) return std::nullopt;
  return runtime::Device{container_path,
                         block ? 'b' : 'c',
                         static_cast<int64_t>(major(status.st_rdev)),
                         static_cast<int64_t>(minor(status.st_rdev)),
                         status.st_mode & 07777U,
                         status.st_uid,
                         status.st_gid};
}

void CollectBelow(const std::string& host_path, const std::string& container_path,
                  std::vector<runtime::Device>& found) {
  std::error_code ignored;  // a device that goes away meanwhile is simply not there
  for (const auto& entry : fs::directory_iterator(host_path, ignored)) {
    const std::string name = entry.path().filename();
    if (host_path == "/dev" && std::find(kNotFromHost.begin(), kNotFromHost.end(), name) != kNotFromHost.end())
      continue;
    if (entry.is_symlink(ignored)) continue;
    if (entry.is_directory(ignored)) {
      CollectBelow(entry.path(), container_path + "/" + name, found);
    } else if (auto node = NodeAt(entry.path(), container_path + "/" + name)) {
      found.push_back(std::move(*node));
    }
  }
}

Result<> CollectRequest(const DeviceRequest& request, std::vector<runtime::Device>& devices) {
  const std::string target = request.container_path.empty() ? request.host_path : request.container_path;
  if (!target.starts_with("/dev/")) {
    return Error::Make(ErrorCode::kInvalidArgument, "device ", target, ": its path in the container must lie in /dev");
  }
  std::error_code ignored;
  if (fs::is_directory(request.host_path, ignored)) {
    CollectBelow(request.host_path, target, devices);
    return {};
  }
  auto node = NodeAt(request.host_path, target);
  if (!node) return Error::Make(ErrorCode::kInvalidArgument, "device ", request.host_path, ": no such device");
  devices.push_back(std::move(*node));
  return {};
}

}  // namespace

Result<std::vector<runtime::Device>> CollectDevices(const ContainerSpec& container) {
  std::vector<runtime::Device> devices;
  if (container.security.privileged) CollectBelow("/dev", "/dev", devices);
  for (const DeviceRequest& request : container.devices) RETURN_IF_ERROR(CollectRequest(request, devices));
  return devices;
}

Result<std::vector<cgroups::DeviceRule>> DeviceRules(const ContainerSpec& container) {
  if (container.security.privileged) return cgroups::AllowAllDeviceRules();
  std::vector<cgroups::DeviceRule> rules = cgroups::DefaultDeviceRules();
  for (const DeviceRequest& request : container.devices) {
    const std::string permissions = request.permissions.empty() ? "rwm" : request.permissions;
    ASSIGN_OR_RETURN(const uint8_t access, cgroups::ParseDeviceAccess(permissions), "device ", request.host_path);
    std::vector<runtime::Device> devices;
    RETURN_IF_ERROR(CollectRequest(request, devices));
    for (const runtime::Device& device : devices) {
      const auto type = device.type == 'b' ? cgroups::DeviceType::kBlock : cgroups::DeviceType::kChar;
      rules.push_back({type, device.major, device.minor, access, true});
    }
  }
  return rules;
}

}  // namespace fermata::sandbox
