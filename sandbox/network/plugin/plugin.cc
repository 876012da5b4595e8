#include "sandbox/network/plugin/plugin.h"

#include <fcntl.h>
#include <sys/file.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "runtime/base/file.h"
#include "sandbox/network/cni_config.h"
#include "sandbox/network/netns.h"

namespace fermata::sandbox {
namespace {

constexpr const char* kVersion = "1.1.0";

Error Invalid(std::string_view what, std::string_view why) {
  return Error::Make(ErrorCode::kInvalidArgument, what, ": ", why);
}

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// FNV-1a: names, not secrets.
std::string Hash(const std::string& text) {
  uint64_t hash = 14695981039346656037U;
  for (const unsigned char c : text) hash = (hash ^ c) * 1099511628211U;
  std::array<char, 17> hex{};
  (void)std::snprintf(hex.data(), hex.size(), "%016lx", static_cast<unsigned long>(hash));
  return hex.data();
}

Result<std::vector<std::string>> Texts(const Json& config, const char* key) {
  std::vector<std::string> texts;
  const auto found = config.find(key);
  if (found == config.end()) return texts;
  return ReadJson(key, [&] { return found->get<std::vector<std::string>>(); });
}

// All that one execution needs: the lock, the attachments, the network as they describe it.
struct Session {
  UniqueFd lock;
  std::unique_ptr<AttachmentLedger> ledger;
  std::unique_ptr<BuiltinNetwork> network;
};

Result<Session> Open(const PluginSettings& settings) {
  Session session;
  ASSIGN_OR_RETURN(const UniqueFd directory, MakeDirectories(AT_FDCWD, settings.data_dir, 0700));
  ASSIGN_OR_RETURN(session.lock, OpenAt(directory.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  while (::flock(session.lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return Error::Errno("lock ", settings.data_dir);
  }
  ASSIGN_OR_RETURN(session.ledger, AttachmentLedger::Open(settings.data_dir + "/network.db"));
  ASSIGN_OR_RETURN(session.network, BuiltinNetwork::Make(settings.network));
  RETURN_IF_ERROR(session.network->Start(session.ledger->All()));
  return session;
}

Result<> TakeDown(Session& session, const Attachment& attachment) {
  RETURN_IF_ERROR(session.network->Del(attachment));
  RETURN_IF_ERROR(session.ledger->Erase(attachment.id));
  return session.network->Collect(session.ledger->All());  // with the last one, the bridge
}

Result<std::string> Add(const PluginRequest& request, const PluginSettings& settings) {
  Attachment attachment = PluginAttachment(request);
  ASSIGN_OR_RETURN(const UniqueFd netns, OpenAt(AT_FDCWD, request.netns, O_RDONLY));
  ASSIGN_OR_RETURN(Session session, Open(settings));
  if (session.ledger->Find(attachment.id)) {
    return Error::Make(ErrorCode::kAlreadyExists, attachment.pod, " has its interface ", attachment.interface);
  }
  RETURN_IF_ERROR(session.ledger->Put(attachment));
  RETURN_IF_ERROR(RefuseRouterAdvertisements(netns.get()));
  if (auto added = session.network->Add(attachment, netns.get()); !added) {
    (void)TakeDown(session, attachment);  // what fails here is taken down by DEL
    return std::move(added).error();
  }
  RETURN_IF_ERROR(session.ledger->Put(attachment));
  return PluginResult(request.version, attachment, settings).dump();
}

Result<std::string> Del(const PluginRequest& request, const PluginSettings& settings) {
  ASSIGN_OR_RETURN(Session session, Open(settings));
  const auto attachment = session.ledger->Find(PluginAttachment(request).id);
  if (attachment) RETURN_IF_ERROR(TakeDown(session, *attachment));
  return std::string();
}

Result<std::string> Check(const PluginRequest& request, const PluginSettings& settings) {
  ASSIGN_OR_RETURN(Session session, Open(settings));
  const auto attachment = session.ledger->Find(PluginAttachment(request).id);
  if (!attachment) return Error::Make(ErrorCode::kNotFound, request.container_id, " is not attached");
  RETURN_IF_ERROR(session.network->Check(*attachment));
  return std::string();
}

Result<std::string> Status(const PluginRequest&, const PluginSettings& settings) {
  RETURN_IF_ERROR(Open(settings));
  return std::string();
}

Result<std::string> Gc(const PluginRequest& request, const PluginSettings& settings) {
  ASSIGN_OR_RETURN(Session session, Open(settings));
  std::set<std::string> valid;
  const auto list = request.config.find("cni.dev/valid-attachments");
  if (list == request.config.end() || !list->is_array()) return Invalid("cni.dev/valid-attachments", "no list");
  for (const Json& entry : *list) {
    PluginRequest one{.container_id = entry.value("containerID", ""), .interface = entry.value("ifname", "")};
    valid.insert(PluginAttachment(one).id);
  }
  for (const Attachment& attachment : session.ledger->All()) {
    if (!valid.contains(attachment.id)) RETURN_IF_ERROR(TakeDown(session, attachment));
  }
  return std::string();
}

Result<std::string> Version(const PluginRequest&, const PluginSettings&) {
  return Json({{"cniVersion", kVersion}, {"supportedVersions", {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}}}).dump();
}

struct Command {
  std::string_view name;
  bool needs_attachment;
  Result<std::string> (*serve)(const PluginRequest&, const PluginSettings&);
};
constexpr std::array kCommands = {Command{"ADD", true, Add},     Command{"DEL", true, Del},
                                  Command{"CHECK", true, Check}, Command{"STATUS", false, Status},
                                  Command{"GC", false, Gc},      Command{"VERSION", false, Version}};

const Command* FindCommand(const std::string& name) {
  for (const Command& command : kCommands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

}  // namespace

Result<PluginRequest> ReadPluginRequest(const std::string& input) {
  PluginRequest request{Variable("CNI_COMMAND"), Variable("CNI_CONTAINERID"), Variable("CNI_NETNS"),
                        Variable("CNI_IFNAME")};
  const Command* command = FindCommand(request.command);
  if (command == nullptr) return Invalid("CNI_COMMAND", "unknown");
  ASSIGN_OR_RETURN(request.config, ParseJson(input, "configuration"));
  if (!request.config.is_object()) return Invalid("configuration", "no object");
  request.version = request.config.value("cniVersion", "");
  if (request.command == "VERSION") return request;
  if (!IsCniVersion(request.version)) return Invalid("cniVersion", "not in 0.3.0..1.1.0");
  if (!command->needs_attachment) return request;
  if (request.container_id.empty()) return Invalid("CNI_CONTAINERID", "missing");
  if (request.interface.empty() || request.interface.size() > 15) {
    return Invalid("CNI_IFNAME", "not of 1 to 15 characters");
  }
  if (request.command == "ADD" && request.netns.empty()) return Invalid("CNI_NETNS", "missing");
  return request;
}

Result<PluginSettings> ReadPluginSettings(const Json& config) {
  PluginSettings settings;
  const std::string name = config.value("name", "");
  if (!IsCniPluginType(name)) return Invalid("name", "missing, or no plain name");
  settings.data_dir = config.value("dataDir", "/var/lib/fermata-cni/" + name);
  if (!settings.data_dir.starts_with('/')) return Invalid("dataDir", "no absolute path");
  settings.network.instance = Hash(name).substr(0, 8);
  ASSIGN_OR_RETURN(settings.network.subnets, Texts(config, "subnets"));
  ASSIGN_OR_RETURN(settings.network.direct, Texts(config, "direct"));
  settings.network.mtu = config.value("mtu", 0);
  return settings;
}

Attachment PluginAttachment(const PluginRequest& request) {
  Attachment attachment;
  attachment.id = Hash(request.container_id + "/" + request.interface);
  attachment.interface = request.interface;
  attachment.pod = "container " + request.container_id;
  attachment.kind = "builtin";
  attachment.netns = request.netns;
  if (const auto given = request.config.find("runtimeConfig"); given != request.config.end()) {
    attachment.runtime_config = *given;
  }
  return attachment;
}

Json PluginResult(const std::string& version, const Attachment& attachment, const PluginSettings& settings) {
  const auto subnets =
      settings.network.subnets.empty() ? InstanceSubnets(settings.network.instance) : settings.network.subnets;
  const bool old = version.starts_with("0.");
  Json result = {{"cniVersion", version}, {"ips", Json::array()}, {"routes", Json::array()}, {"dns", Json::object()}};
  result["interfaces"] = {{{"name", BridgeName(settings.network.instance)}},
                          {{"name", VethName(attachment.id)}},
                          {{"name", attachment.interface}, {"sandbox", attachment.netns}}};
  for (const std::string& text : attachment.ips) {
    const auto ip = IpAddress::Parse(text);
    for (const std::string& subnet : subnets) {
      const auto range = IpRange::Parse(subnet);
      if (!ip || !range || !range->Contains(*ip)) continue;
      Json entry = {{"address", text + "/" + std::to_string(range->prefix)},
                    {"gateway", range->gateway().Text()},
                    {"interface", 2}};
      if (old) entry["version"] = ip->six ? "6" : "4";
      result["ips"].push_back(std::move(entry));
      result["routes"].push_back({{"dst", ip->six ? "::/0" : "0.0.0.0/0"}, {"gw", range->gateway().Text()}});
    }
  }
  return result;
}

Result<std::string> ServePlugin(const PluginRequest& request) {
  PluginSettings settings;
  if (request.command != "VERSION") {
    ASSIGN_OR_RETURN(settings, ReadPluginSettings(request.config));
  }
  return FindCommand(request.command)->serve(request, settings);
}

std::string PluginError(const std::string& version, const Error& error) {
  const int code = error.code() == ErrorCode::kInvalidArgument     ? 7    // "invalid network config"
                   : error.code() == ErrorCode::kResourceExhausted ? 100  // the first of ours
                                                                   : 101;
  return Json({{"cniVersion", version.empty() ? kVersion : version}, {"code", code}, {"msg", error.message()}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace fermata::sandbox
