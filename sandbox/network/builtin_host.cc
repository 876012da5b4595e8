#include "sandbox/network/builtin_host.h"

#include <fcntl.h>

#include <charconv>
#include <filesystem>

#include "runtime/base/file.h"
#include "sandbox/network/builtin_network.h"

namespace fermata::sandbox {
namespace {

// Eight hex digits as the four bytes that they are; zero for the default instance.
uint32_t Number(const std::string& instance) {
  uint32_t number = 0;
  (void)std::from_chars(instance.data(), instance.data() + instance.size(), number, 16);  // no digits: zero
  return number;
}

Result<> TurnOn(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string now, ReadFileAt(AT_FDCWD, path));
  if (!now.starts_with('0')) return {};
  return WriteControl(AT_FDCWD, path, "1");
}

// An interface that listens to routers stops when packets are forwarded, unless it is told to go on (2): the node
// would lose its own default route.
Result<> KeepRouterAdvertisements() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/sys/net/ipv6/conf", ignored)) {
    const std::string path = entry.path().string() + "/accept_ra";
    const auto now = ReadFileAt(AT_FDCWD, path);
    if (now && now->starts_with('1')) RETURN_IF_ERROR(WriteControl(AT_FDCWD, path, "2"));
  }
  return {};
}

}  // namespace

std::string BridgeName(const std::string& instance) { return instance.empty() ? "fermata0" : "fm-" + instance; }
std::string TableName(const std::string& instance) { return instance.empty() ? "fermata" : "fermata_" + instance; }
std::string VethName(const std::string& id) { return "fm" + id.substr(0, 12); }

std::vector<std::string> InstanceSubnets(const std::string& instance) {
  if (instance.empty()) return {"10.222.0.0/16", "fdfe:726d:6174::/64"};
  const uint32_t number = Number(instance);
  const std::string six = "fd" + instance.substr(0, 2) + ":" + instance.substr(2, 4) + ":" + instance.substr(6, 2);
  return {"10." + std::to_string(208 + number % 14) + "." + std::to_string((number >> 8) % 16 * 16) + ".0/20",
          six + "00::/64"};
}

std::array<uint8_t, 6> BridgeMac(const std::string& instance) {
  const uint32_t number = Number(instance);
  return {0x02,
          0xfe,
          static_cast<uint8_t>(number >> 24),
          static_cast<uint8_t>(number >> 16),
          static_cast<uint8_t>(number >> 8),
          static_cast<uint8_t>(number)};
}

bool HostHasIpv6() { return static_cast<bool>(OpenAt(AT_FDCWD, "/proc/sys/net/ipv6/conf", O_PATH | O_DIRECTORY)); }

Result<> ForwardPackets(const std::string& bridge, const std::vector<IpRange>& ranges) {
  for (const IpRange& range : ranges) {
    if (!range.base.six) {
      RETURN_IF_ERROR(TurnOn("/proc/sys/net/ipv4/ip_forward"));
      RETURN_IF_ERROR(TurnOn("/proc/sys/net/ipv4/conf/" + bridge + "/route_localnet"));
      continue;
    }
    const std::string own = "/proc/sys/net/ipv6/conf/" + bridge + "/accept_ra";
    RETURN_IF_ERROR(WriteControl(AT_FDCWD, own, "0"));  // no pod configures the node
    ASSIGN_OR_RETURN(const std::string now, ReadFileAt(AT_FDCWD, "/proc/sys/net/ipv6/conf/all/forwarding"));
    if (!now.starts_with('0')) continue;
    RETURN_IF_ERROR(KeepRouterAdvertisements());
    RETURN_IF_ERROR(TurnOn("/proc/sys/net/ipv6/conf/all/forwarding"));
  }
  return {};
}

void DisableIpv6(const std::string& interface) {
  (void)WriteControl(AT_FDCWD, "/proc/sys/net/ipv6/conf/" + interface + "/disable_ipv6", "1");  // missing: no IPv6
}

}  // namespace fermata::sandbox
