#include "runtime/spec/linux_json.h"

#include "runtime/spec/json_fields.h"
#include "runtime/spec/resources_json.h"

namespace fermata::runtime {
namespace {

Result<> ReadDevices(const Json::array_t& json, std::vector<Device>& devices) {
  for (const Json& entry : json) {
    const auto type = entry.at("type").get<std::string>();
    if (type.size() != 1 || std::string("cbup").find(type) == std::string::npos) {
      return InvalidField("linux.devices", "type must be one of c, b, u, p");
    }
    devices.push_back({entry.at("path"), type[0], Get<int64_t>(entry, "major"), Get<int64_t>(entry, "minor"),
                       Get<uint32_t>(entry, "fileMode", 0666), Get<uint32_t>(entry, "uid"),
                       Get<uint32_t>(entry, "gid")});
  }
  return {};
}

// Unknown properties are ignored; these two are known, and ignoring them would leave out what was asked for.
Result<> RefuseByName(const Json& json) {
  if (!Child(json, "intelRdt").empty()) {
    return InvalidField("linux.intelRdt", "is not supported: resctrl groups are left to the administrator");
  }
  if (!Child(json, "netDevices").empty()) {
    return InvalidField("linux.netDevices", "is not supported: network devices are moved by the network's plugin");
  }
  return {};
}

Json SeccompJson(const Seccomp& seccomp) {
  Json json = {{"defaultAction", seccomp.default_action}, {"syscalls", Json::array()}};
  if (seccomp.default_errno_ret) json["defaultErrnoRet"] = *seccomp.default_errno_ret;
  if (!seccomp.architectures.empty()) json["architectures"] = seccomp.architectures;
  if (!seccomp.flags.empty()) json["flags"] = seccomp.flags;
  PutNotEmpty(json, "listenerPath", seccomp.listener_path);
  PutNotEmpty(json, "listenerMetadata", seccomp.listener_metadata);
  for (const SeccompRule& rule : seccomp.rules) {
    Json entry = {{"names", rule.names}, {"action", rule.action}};
    if (rule.errno_ret) entry["errnoRet"] = *rule.errno_ret;
    for (const SeccompArgument& argument : rule.args) {
      entry["args"].push_back({{"index", argument.index},
                               {"value", argument.value},
                               {"valueTwo", argument.value_two},
                               {"op", argument.op}});
    }
    json["syscalls"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace

Seccomp ReadSeccomp(const Json& json) {
  Seccomp seccomp;
  seccomp.default_action = json.at("defaultAction");
  seccomp.default_errno_ret = GetOptional<uint32_t>(json, "defaultErrnoRet");
  seccomp.architectures = Get<Strings>(json, "architectures");
  seccomp.flags = Get<Strings>(json, "flags");
  seccomp.listener_path = Get<std::string>(json, "listenerPath");
  seccomp.listener_metadata = Get<std::string>(json, "listenerMetadata");
  for (const Json& rule : List(json, "syscalls")) {
    SeccompRule& added = seccomp.rules.emplace_back();
    added.names = rule.at("names").get<Strings>();
    added.action = rule.at("action");
    added.errno_ret = GetOptional<uint32_t>(rule, "errnoRet");
    for (const Json& argument : List(rule, "args")) {
      added.args.push_back({GetRequired<uint32_t>(argument, "index"), GetRequired<uint64_t>(argument, "value"),
                            Get<uint64_t>(argument, "valueTwo"), argument.at("op")});
    }
  }
  return seccomp;
}

Result<Linux> ReadLinux(const Json& json) {
  RETURN_IF_ERROR(IsObject(json, "linux"));
  RETURN_IF_ERROR(RefuseByName(json));
  Linux result;
  for (const Json& entry : List(json, "namespaces")) {
    result.namespaces.push_back({entry.at("type"), Get<std::string>(entry, "path")});
  }
  result.uid_mappings = ReadIdMappings(List(json, "uidMappings"));
  result.gid_mappings = ReadIdMappings(List(json, "gidMappings"));
  RETURN_IF_ERROR(ReadDevices(List(json, "devices"), result.devices));
  ASSIGN_OR_RETURN(LinuxResources resources, ReadResources(Child(json, "resources")));
  result.resources = std::move(resources.limits);
  result.device_rules = std::move(resources.device_rules);
  result.sysctl = Get<StringMap>(json, "sysctl");
  result.cgroups_path = Get<std::string>(json, "cgroupsPath");
  result.rootfs_propagation = Get<std::string>(json, "rootfsPropagation");
  if (const Json& seccomp = Child(json, "seccomp"); !seccomp.empty()) result.seccomp = ReadSeccomp(seccomp);
  if (const Json& personality = Child(json, "personality"); !personality.empty()) {
    if (!Get<Strings>(personality, "flags").empty()) return InvalidField("linux.personality.flags", "must be empty");
    result.personality = Personality{personality.at("domain")};
  }
  for (const auto& [clock, offset] : Child(json, "timeOffsets").items()) {
    result.time_offsets[clock] = {Get<int64_t>(offset, "secs"), Get<uint32_t>(offset, "nanosecs")};
  }
  if (const Json& policy = Child(json, "memoryPolicy"); !policy.empty()) {
    result.memory_policy =
        MemoryPolicy{policy.at("mode"), Get<std::string>(policy, "nodes"), Get<Strings>(policy, "flags")};
  }
  result.masked_paths = Get<Strings>(json, "maskedPaths");
  result.readonly_paths = Get<Strings>(json, "readonlyPaths");
  result.mount_label = Get<std::string>(json, "mountLabel");
  return result;
}

IdMappings ReadIdMappings(const Json::array_t& json) {
  IdMappings mappings;
  for (const Json& entry : json) {
    mappings.push_back({GetRequired<uint32_t>(entry, "containerID"), GetRequired<uint32_t>(entry, "hostID"),
                        GetRequired<uint32_t>(entry, "size")});
  }
  return mappings;
}

Json LinuxToJsonValue(const Linux& settings) {
  Json json = {{"namespaces", Json::array()}};
  for (const Namespace& entry : settings.namespaces) {
    Json item = {{"type", entry.type}};
    if (!entry.path.empty()) item["path"] = entry.path;
    json["namespaces"].push_back(std::move(item));
  }
  for (const Device& device : settings.devices) {
    json["devices"].push_back({{"path", device.path},
                               {"type", std::string(1, device.type)},
                               {"major", device.major},
                               {"minor", device.minor},
                               {"fileMode", device.mode},
                               {"uid", device.uid},
                               {"gid", device.gid}});
  }
  PutNotEmpty(json, "uidMappings", IdMappingsToJsonValue(settings.uid_mappings));
  PutNotEmpty(json, "gidMappings", IdMappingsToJsonValue(settings.gid_mappings));
  PutNotEmpty(json, "resources", ResourcesToJsonValue(settings.resources, settings.device_rules));
  PutNotEmpty(json, "sysctl", settings.sysctl);
  PutNotEmpty(json, "cgroupsPath", settings.cgroups_path);
  PutNotEmpty(json, "rootfsPropagation", settings.rootfs_propagation);
  if (settings.seccomp) json["seccomp"] = SeccompJson(*settings.seccomp);
  if (settings.personality) json["personality"] = {{"domain", settings.personality->domain}};
  for (const auto& [clock, offset] : settings.time_offsets) {
    json["timeOffsets"][clock] = {{"secs", offset.seconds}, {"nanosecs", offset.nanoseconds}};
  }
  if (settings.memory_policy) {
    json["memoryPolicy"] = {{"mode", settings.memory_policy->mode},
                            {"nodes", settings.memory_policy->nodes},
                            {"flags", settings.memory_policy->flags}};
  }
  PutNotEmpty(json, "maskedPaths", settings.masked_paths);
  PutNotEmpty(json, "readonlyPaths", settings.readonly_paths);
  PutNotEmpty(json, "mountLabel", settings.mount_label);
  return json;
}

Json IdMappingsToJsonValue(const IdMappings& mappings) {
  Json json = Json::array();
  for (const IdMapping& mapping : mappings) {
    json.push_back({{"containerID", mapping.container_id}, {"hostID", mapping.host_id}, {"size", mapping.size}});
  }
  return json;
}

}  // namespace fermata::runtime
