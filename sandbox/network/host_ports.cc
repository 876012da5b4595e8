#include "sandbox/network/host_ports.h"

namespace fermata::sandbox {
namespace {

const Json& PortsOf(const Attachment& attachment) {
  static const Json kNone = Json::array();
  if (!attachment.runtime_config.is_object()) return kNone;
  const auto found = attachment.runtime_config.find("portMappings");
  return found == attachment.runtime_config.end() ? kNone : *found;
}

// An address, or all of a family, or all.
bool Overlap(const std::string& a, const std::string& b) {
  const auto any = [](const std::string& ip) { return ip.empty() || ip == "0.0.0.0" || ip == "::"; };
  const auto six = [](const std::string& ip) { return ip.find(':') != std::string::npos; };
  if (a.empty() || b.empty() || a == b) return true;
  return six(a) == six(b) && (any(a) || any(b));
}

}  // namespace

Result<> CheckHostPorts(const Attachment& wanted, const Attachment& other) {
  if (wanted.id == other.id) return {};
  for (const Json& mine : PortsOf(wanted)) {
    for (const Json& its : PortsOf(other)) {
      if (mine.at("hostPort") != its.at("hostPort") || mine.at("protocol") != its.at("protocol") ||
          !Overlap(mine.value("hostIP", ""), its.value("hostIP", ""))) {
        continue;
      }
      return Error::Make(ErrorCode::kFailedPrecondition, "host port ", mine.at("hostPort").dump(), "/",
                         mine.at("protocol").get<std::string>(), " is held by pod ", other.pod,
                         other.owed ? ", whose network could not be taken down yet" : "");
    }
  }
  return {};
}

}  // namespace fermata::sandbox
