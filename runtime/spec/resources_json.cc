#include "runtime/spec/resources_json.h"

#include <array>

#include "runtime/spec/json_fields.h"

namespace fermata::runtime {
namespace {

// A number that only means something to control groups v1.
Result<> RefuseV1(const Json& object, const std::string& where, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto value = GetOptional<int64_t>(object, key);
    if (value && *value > 0) return InvalidField(where + "." + key, "control groups v2 have nothing like it");
  }
  return {};
}

Result<> ReadMemory(const Json& json, cgroups::Resources& limits) {
  const std::string where = "linux.resources.memory";
  RETURN_IF_ERROR(IsObject(json, where));
  RETURN_IF_ERROR(RefuseV1(json, where, {"kernel", "kernelTCP", "swappiness"}));
  if (Get<bool>(json, "disableOOMKiller")) {
    return InvalidField(where + ".disableOOMKiller", "control groups v2 have nothing like it");
  }
  limits.memory_limit_bytes = GetOptional<int64_t>(json, "limit");
  limits.memory_reservation_bytes = GetOptional<int64_t>(json, "reservation");
  limits.swap_limit_bytes = GetOptional<int64_t>(json, "swap");
  limits.check_memory_limit = Get<bool>(json, "checkBeforeUpdate");
  // 0 is how those who fill in every field say "no limit".
  for (auto* value : {&limits.memory_limit_bytes, &limits.memory_reservation_bytes, &limits.swap_limit_bytes}) {
    if (*value == 0) value->reset();
  }
  return {};
}

Result<> ReadCpu(const Json& json, cgroups::Resources& limits) {
  const std::string where = "linux.resources.cpu";
  RETURN_IF_ERROR(IsObject(json, where));
  RETURN_IF_ERROR(RefuseV1(json, where, {"realtimeRuntime", "realtimePeriod"}));
  limits.cpu_shares = Get<uint64_t>(json, "shares");
  limits.cpu_quota_us = GetOptional<int64_t>(json, "quota");
  limits.cpu_burst_us = GetOptional<uint64_t>(json, "burst");
  limits.cpu_period_us = Get<uint64_t>(json, "period");
  limits.cpuset_cpus = Get<std::string>(json, "cpus");
  limits.cpuset_mems = Get<std::string>(json, "mems");
  if (const auto idle = GetOptional<int64_t>(json, "idle")) limits.cpu_idle = *idle != 0;
  return {};
}

struct Throttle {
  const char* key;
  std::optional<uint64_t> cgroups::IoLimit::*field;
};
constexpr std::array kThrottles = {Throttle{"throttleReadBpsDevice", &cgroups::IoLimit::read_bytes},
                                   Throttle{"throttleWriteBpsDevice", &cgroups::IoLimit::write_bytes},
                                   Throttle{"throttleReadIOPSDevice", &cgroups::IoLimit::read_operations},
                                   Throttle{"throttleWriteIOPSDevice", &cgroups::IoLimit::write_operations}};

// The entry of a device, made if it is new.
cgroups::IoLimit& LimitOf(std::vector<cgroups::IoLimit>& limits, int64_t major, int64_t minor) {
  for (cgroups::IoLimit& limit : limits) {
    if (limit.major == major && limit.minor == minor) return limit;
  }
  cgroups::IoLimit& added = limits.emplace_back();
  added.major = major;
  added.minor = minor;
  return added;
}

Result<> ReadBlockIo(const Json& json, cgroups::Resources& limits) {
  const std::string where = "linux.resources.blockIO";
  RETURN_IF_ERROR(IsObject(json, where));
  RETURN_IF_ERROR(RefuseV1(json, where, {"leafWeight"}));
  limits.io_weight = Get<uint64_t>(json, "weight");
  for (const Json& device : List(json, "weightDevice")) {
    RETURN_IF_ERROR(RefuseV1(device, where + ".weightDevice", {"leafWeight"}));
    if (const auto weight = Get<uint64_t>(device, "weight"); weight != 0) {
      limits.io_device_weights.push_back(
          {GetRequired<int64_t>(device, "major"), GetRequired<int64_t>(device, "minor"), weight});
    }
  }
  for (const Throttle& throttle : kThrottles) {
    for (const Json& device : List(json, throttle.key)) {
      LimitOf(limits.io_limits, GetRequired<int64_t>(device, "major"), GetRequired<int64_t>(device, "minor")).*
          throttle.field = GetRequired<uint64_t>(device, "rate");
    }
  }
  return {};
}

Result<cgroups::DeviceRule> ReadDeviceRule(const Json& json) {
  const std::string where = "linux.resources.devices";
  RETURN_IF_ERROR(IsObject(json, where));
  cgroups::DeviceRule rule;
  const auto type = Get<std::string>(json, "type", "a");
  if (type == "a" || type.empty()) {
    rule.type = cgroups::DeviceType::kAll;
  } else if (type == "c" || type == "u") {
    rule.type = cgroups::DeviceType::kChar;
  } else if (type == "b") {
    rule.type = cgroups::DeviceType::kBlock;
  } else {
    return InvalidField(where + ".type", "\"" + type + "\" is not one of a, b, c");
  }
  rule.major = Get<int64_t>(json, "major", -1);
  rule.minor = Get<int64_t>(json, "minor", -1);
  rule.allow = json.at("allow");
  if (const auto access = Get<std::string>(json, "access"); !access.empty()) {
    ASSIGN_OR_RETURN(rule.access, cgroups::ParseDeviceAccess(access), "config.json: ", where, ".access");
  }
  return rule;
}

void ReadRdma(const Json& json, cgroups::Resources& limits) {
  for (const auto& [device, limit] : json.items()) {
    limits.rdma_limits[device] = {GetOptional<uint32_t>(limit, "hcaHandles"),
                                  GetOptional<uint32_t>(limit, "hcaObjects")};
  }
}

Result<> ReadNetwork(const Json& json) {
  RETURN_IF_ERROR(RefuseV1(json, "linux.resources.network", {"classID"}));
  if (!List(json, "priorities").empty()) {
    return InvalidField("linux.resources.network.priorities", "control groups v2 have nothing like it");
  }
  return {};
}

std::string AccessText(uint8_t access) {
  std::string text;
  if ((access & cgroups::kDeviceRead) != 0) text += 'r';
  if ((access & cgroups::kDeviceWrite) != 0) text += 'w';
  if ((access & cgroups::kDeviceMknod) != 0) text += 'm';
  return text;
}

Json DeviceRuleJson(const cgroups::DeviceRule& rule) {
  constexpr std::array kTypes = {"a", "b", "c"};
  Json json = {
      {"allow", rule.allow}, {"type", kTypes[static_cast<size_t>(rule.type)]}, {"access", AccessText(rule.access)}};
  if (rule.major >= 0) json["major"] = rule.major;
  if (rule.minor >= 0) json["minor"] = rule.minor;
  return json;
}

Json BlockIoJson(const cgroups::Resources& limits) {
  Json json = Json::object();
  if (limits.io_weight != 0) json["weight"] = limits.io_weight;
  for (const cgroups::IoDeviceWeight& device : limits.io_device_weights) {
    json["weightDevice"].push_back({{"major", device.major}, {"minor", device.minor}, {"weight", device.weight}});
  }
  for (const cgroups::IoLimit& limit : limits.io_limits) {
    for (const Throttle& throttle : kThrottles) {
      const auto& rate = limit.*throttle.field;
      if (rate) json[throttle.key].push_back({{"major", limit.major}, {"minor", limit.minor}, {"rate", *rate}});
    }
  }
  return json;
}

Json CpuJson(const cgroups::Resources& limits) {
  Json cpu = Json::object();
  if (limits.cpu_shares != 0) cpu["shares"] = limits.cpu_shares;
  PutOptional(cpu, "quota", limits.cpu_quota_us);
  PutOptional(cpu, "burst", limits.cpu_burst_us);
  if (limits.cpu_period_us != 0) cpu["period"] = limits.cpu_period_us;
  if (limits.cpu_idle) cpu["idle"] = *limits.cpu_idle ? 1 : 0;
  PutNotEmpty(cpu, "cpus", limits.cpuset_cpus);
  PutNotEmpty(cpu, "mems", limits.cpuset_mems);
  return cpu;
}

Json MemoryJson(const cgroups::Resources& limits) {
  Json memory = Json::object();
  PutOptional(memory, "limit", limits.memory_limit_bytes);
  PutOptional(memory, "reservation", limits.memory_reservation_bytes);
  PutOptional(memory, "swap", limits.swap_limit_bytes);
  if (limits.check_memory_limit) memory["checkBeforeUpdate"] = true;
  return memory;
}

}  // namespace

Result<LinuxResources> ReadResources(const Json& json) {
  RETURN_IF_ERROR(IsObject(json, "linux.resources"));
  LinuxResources resources;
  cgroups::Resources& limits = resources.limits;
  for (const Json& rule : List(json, "devices")) {
    ASSIGN_OR_RETURN(const cgroups::DeviceRule read, ReadDeviceRule(rule));
    resources.device_rules.push_back(read);
  }
  RETURN_IF_ERROR(ReadMemory(Child(json, "memory"), limits));
  RETURN_IF_ERROR(ReadCpu(Child(json, "cpu"), limits));
  RETURN_IF_ERROR(ReadBlockIo(Child(json, "blockIO"), limits));
  RETURN_IF_ERROR(ReadNetwork(Child(json, "network")));
  // As in memory: 0 stands for none where a writer fills in every field.
  if (const auto pids = Get<int64_t>(Child(json, "pids"), "limit"); pids != 0) limits.pids_limit = pids;
  for (const Json& limit : List(json, "hugepageLimits")) {
    limits.hugepage_limits[limit.at("pageSize").get<std::string>()] = GetRequired<uint64_t>(limit, "limit");
  }
  ReadRdma(Child(json, "rdma"), limits);
  limits.unified = Get<StringMap>(json, "unified");
  return resources;
}

Result<LinuxResources> ResourcesFromJson(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text, "resources"));
  ASSIGN_OR_RETURN(Result<LinuxResources> read, ReadJson("resources", [&] { return ReadResources(json); }));
  return read;
}

Json ResourcesToJsonValue(const cgroups::Resources& limits, const std::vector<cgroups::DeviceRule>& device_rules) {
  Json json = Json::object();
  for (const cgroups::DeviceRule& rule : device_rules) json["devices"].push_back(DeviceRuleJson(rule));
  PutNotEmpty(json, "memory", MemoryJson(limits));
  PutNotEmpty(json, "cpu", CpuJson(limits));
  PutNotEmpty(json, "blockIO", BlockIoJson(limits));
  if (limits.pids_limit) json["pids"] = {{"limit", *limits.pids_limit}};
  for (const auto& [size, bytes] : limits.hugepage_limits) {
    json["hugepageLimits"].push_back({{"pageSize", size}, {"limit", bytes}});
  }
  for (const auto& [device, limit] : limits.rdma_limits) {
    Json& entry = json["rdma"][device] = Json::object();
    PutOptional(entry, "hcaHandles", limit.handles);
    PutOptional(entry, "hcaObjects", limit.objects);
  }
  PutNotEmpty(json, "unified", limits.unified);
  return json;
}

}  // namespace fermata::runtime
