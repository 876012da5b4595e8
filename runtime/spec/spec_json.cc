#include "runtime/spec/spec_json.h"

#include <set>
#include <type_traits>
#include <utility>

namespace fermata::runtime {
namespace {

using Strings = std::vector<std::string>;
using StringMap = std::map<std::string, std::string>;

Error Invalid(const std::string& where, const std::string& why) {
  return Error::Make(ErrorCode::kInvalidArgument, "config.json: ", where, ": ", why);
}

// The library makes any number of any other (2^32 is uid 0 then), and finds no field in what is no object. Both are
// errors here, by its own exceptions.
template <typename T>
void Convert(const Json& json, T& value) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.get<uint64_t>())
                                                : json.is_number_integer() && std::in_range<T>(json.get<int64_t>());
    if (!fits) throw Json::type_error::create(302, json.dump() + " is no whole number of the field's range", &json);
  }
  value = json.get<T>();
}
void Convert(const Json& json, std::vector<uint32_t>& values) {
  for (const Json& item : json.get_ref<const Json::array_t&>()) Convert(item, values.emplace_back());
}

// Nullptr where there is none, or a null.
const Json* Find(const Json& object, const char* key) {
  const auto& fields = object.get_ref<const Json::object_t&>();
  const auto found = fields.find(key);
  return found == fields.end() || found->second.is_null() ? nullptr : &found->second;
}

template <typename T>
T Get(const Json& object, const char* key, T otherwise = {}) {
  if (const Json* found = Find(object, key)) Convert(*found, otherwise);
  return otherwise;
}

template <typename T>
std::optional<T> GetOptional(const Json& object, const char* key) {
  if (Find(object, key) == nullptr) return std::nullopt;
  return Get<T>(object, key);
}

// Of a field that has to be there.
template <typename T>
T Need(const Json& object, const char* key) {
  T value{};
  Convert(object.at(key), value);
  return value;
}

const Json& Child(const Json& object, const char* key) {
  static const Json kEmpty = Json::object();
  const Json* found = Find(object, key);
  if (found == nullptr) return kEmpty;
  (void)found->get_ref<const Json::object_t&>();
  return *found;
}

const Json::array_t& List(const Json& object, const char* key) {
  static const Json::array_t kEmpty;
  const Json* found = Find(object, key);
  return found == nullptr ? kEmpty : found->get_ref<const Json::array_t&>();
}

// Refuses keys outside `known`.
Result<> OnlyKnown(const Json& object, const std::string& where, const std::set<std::string>& known) {
  if (!object.is_object()) return Invalid(where, "must be an object");
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key)) return Invalid(where + "." + key, "is not supported");
  }
  return {};
}

Capabilities ReadCapabilities(const Json& json) {
  return {Get<Strings>(json, "bounding"), Get<Strings>(json, "effective"), Get<Strings>(json, "inheritable"),
          Get<Strings>(json, "permitted"), Get<Strings>(json, "ambient")};
}

void ReadScheduling(const Json& json, Process& process) {
  if (const Json& scheduler = Child(json, "scheduler"); !scheduler.empty()) {
    process.scheduler = {scheduler.at("policy"),
                         Get<int32_t>(scheduler, "nice"),
                         Get<int32_t>(scheduler, "priority"),
                         Get<Strings>(scheduler, "flags"),
                         Get<uint64_t>(scheduler, "runtime"),
                         Get<uint64_t>(scheduler, "deadline"),
                         Get<uint64_t>(scheduler, "period")};
  }
  if (const Json& priority = Child(json, "ioPriority"); !priority.empty()) {
    process.io_priority = {priority.at("class"), Get<int32_t>(priority, "priority")};
  }
  if (const Json& affinity = Child(json, "execCPUAffinity"); !affinity.empty()) {
    process.exec_cpu_affinity = {Get<std::string>(affinity, "initial"), Get<std::string>(affinity, "final")};
  }
}

Result<Process> ReadProcess(const Json& json) {
  RETURN_IF_ERROR(
      OnlyKnown(json, "process",
                {"terminal", "consoleSize", "user", "args", "env", "cwd", "capabilities", "rlimits", "noNewPrivileges",
                 "oomScoreAdj", "apparmorProfile", "selinuxLabel", "scheduler", "ioPriority", "execCPUAffinity"}));
  Process process;
  process.terminal = Get<bool>(json, "terminal");
  const Json& user = Child(json, "user");
  process.user = {Get<uint32_t>(user, "uid"), Get<uint32_t>(user, "gid"), GetOptional<uint32_t>(user, "umask"),
                  Get<std::vector<uint32_t>>(user, "additionalGids")};
  process.args = Get<Strings>(json, "args");
  process.env = Get<Strings>(json, "env");
  process.cwd = Get<std::string>(json, "cwd", "/");
  process.capabilities = ReadCapabilities(Child(json, "capabilities"));
  for (const Json& limit : List(json, "rlimits")) {
    process.rlimits.push_back({limit.at("type"), Need<uint64_t>(limit, "soft"), Need<uint64_t>(limit, "hard")});
  }
  process.no_new_privileges = Get<bool>(json, "noNewPrivileges");
  process.oom_score_adj = GetOptional<int>(json, "oomScoreAdj");
  process.apparmor_profile = Get<std::string>(json, "apparmorProfile");
  process.selinux_label = Get<std::string>(json, "selinuxLabel");
  ReadScheduling(json, process);
  if (process.args.empty()) return Invalid("process.args", "must not be empty");
  if (!process.cwd.starts_with('/')) return Invalid("process.cwd", "must be absolute");
  return process;
}

Seccomp ReadSeccomp(const Json& json) {
  Seccomp seccomp;
  seccomp.default_action = json.at("defaultAction");
  seccomp.default_errno_ret = GetOptional<uint32_t>(json, "defaultErrnoRet");
  seccomp.architectures = Get<Strings>(json, "architectures");
  seccomp.flags = Get<Strings>(json, "flags");
  for (const Json& rule : List(json, "syscalls")) {
    SeccompRule& added = seccomp.rules.emplace_back();
    added.names = rule.at("names").get<Strings>();
    added.action = rule.at("action");
    added.errno_ret = GetOptional<uint32_t>(rule, "errnoRet");
    for (const Json& argument : List(rule, "args")) {
      added.args.push_back({Need<uint32_t>(argument, "index"), Need<uint64_t>(argument, "value"),
                            Get<uint64_t>(argument, "valueTwo"), argument.at("op")});
    }
  }
  return seccomp;
}

Result<Linux> ReadLinux(const Json& json) {
  RETURN_IF_ERROR(OnlyKnown(json, "linux",
                            {"namespaces", "devices", "sysctl", "cgroupsPath", "rootfsPropagation", "seccomp",
                             "maskedPaths", "readonlyPaths", "resources", "personality", "timeOffsets"}));
  Linux result;
  for (const Json& entry : List(json, "namespaces")) {
    result.namespaces.push_back({entry.at("type"), Get<std::string>(entry, "path")});
  }
  for (const Json& entry : List(json, "devices")) {
    const auto type = entry.at("type").get<std::string>();
    if (type.size() != 1) return Invalid("linux.devices", "type must be one of c, b, u, p");
    result.devices.push_back({entry.at("path"), type[0], Get<int64_t>(entry, "major"), Get<int64_t>(entry, "minor"),
                              Get<uint32_t>(entry, "fileMode", 0666), Get<uint32_t>(entry, "uid"),
                              Get<uint32_t>(entry, "gid")});
  }
  result.sysctl = Get<StringMap>(json, "sysctl");
  result.cgroups_path = Get<std::string>(json, "cgroupsPath");
  result.rootfs_propagation = Get<std::string>(json, "rootfsPropagation");
  if (json.contains("seccomp")) result.seccomp = ReadSeccomp(json.at("seccomp"));
  if (const Json& personality = Child(json, "personality"); !personality.empty()) {
    if (!Get<Strings>(personality, "flags").empty()) return Invalid("linux.personality.flags", "must be empty");
    result.personality = Personality{personality.at("domain")};
  }
  for (const auto& [clock, offset] : Child(json, "timeOffsets").items()) {
    result.time_offsets[clock] = {Get<int64_t>(offset, "secs"), Get<uint32_t>(offset, "nanosecs")};
  }
  result.masked_paths = Get<Strings>(json, "maskedPaths");
  result.readonly_paths = Get<Strings>(json, "readonlyPaths");
  return result;
}

Result<Spec> ReadSpec(const Json& json) {
  RETURN_IF_ERROR(
      OnlyKnown(json, "config.json", {"ociVersion", "process", "root", "hostname", "mounts", "annotations", "linux"}));
  Spec spec;
  spec.oci_version = json.at("ociVersion");
  if (!spec.oci_version.starts_with("1.")) return Invalid("ociVersion", "is " + spec.oci_version + ", must be 1.x");
  ASSIGN_OR_RETURN(spec.process, ReadProcess(Child(json, "process")));
  spec.root_path = json.at("root").at("path");
  spec.root_readonly = Get<bool>(json.at("root"), "readonly");
  spec.hostname = Get<std::string>(json, "hostname");
  for (const Json& mount : List(json, "mounts")) {
    spec.mounts.push_back({mount.at("destination"), Get<std::string>(mount, "type"), Get<std::string>(mount, "source"),
                           Get<Strings>(mount, "options")});
  }
  spec.annotations = Get<StringMap>(json, "annotations");
  ASSIGN_OR_RETURN(spec.linux, ReadLinux(Child(json, "linux")));
  return spec;
}

Json CapabilitiesJson(const Capabilities& sets) {
  return {{"bounding", sets.bounding},
          {"effective", sets.effective},
          {"inheritable", sets.inheritable},
          {"permitted", sets.permitted},
          {"ambient", sets.ambient}};
}

void AddSchedulingJson(const Process& process, Json& json) {
  if (process.scheduler) {
    const Scheduler& scheduler = *process.scheduler;
    json["scheduler"] = {{"policy", scheduler.policy}, {"nice", scheduler.nice},       {"priority", scheduler.priority},
                         {"flags", scheduler.flags},   {"runtime", scheduler.runtime}, {"deadline", scheduler.deadline},
                         {"period", scheduler.period}};
  }
  if (process.io_priority) {
    json["ioPriority"] = {{"class", process.io_priority->io_class}, {"priority", process.io_priority->priority}};
  }
  if (process.exec_cpu_affinity) {
    json["execCPUAffinity"] = {{"initial", process.exec_cpu_affinity->initial_cpus},
                               {"final", process.exec_cpu_affinity->final_cpus}};
  }
}

Json ProcessJson(const Process& process) {
  Json user = {{"uid", process.user.uid}, {"gid", process.user.gid}};
  if (process.user.umask) user["umask"] = *process.user.umask;
  if (!process.user.additional_gids.empty()) user["additionalGids"] = process.user.additional_gids;
  Json json = {{"terminal", process.terminal},
               {"user", user},
               {"args", process.args},
               {"env", process.env},
               {"cwd", process.cwd},
               {"capabilities", CapabilitiesJson(process.capabilities)},
               {"noNewPrivileges", process.no_new_privileges}};
  for (const Rlimit& limit : process.rlimits) {
    json["rlimits"].push_back({{"type", limit.type}, {"soft", limit.soft}, {"hard", limit.hard}});
  }
  if (process.oom_score_adj) json["oomScoreAdj"] = *process.oom_score_adj;
  if (!process.apparmor_profile.empty()) json["apparmorProfile"] = process.apparmor_profile;
  if (!process.selinux_label.empty()) json["selinuxLabel"] = process.selinux_label;
  AddSchedulingJson(process, json);
  return json;
}

Json SeccompJson(const Seccomp& seccomp) {
  Json json = {{"defaultAction", seccomp.default_action}, {"syscalls", Json::array()}};
  if (seccomp.default_errno_ret) json["defaultErrnoRet"] = *seccomp.default_errno_ret;
  if (!seccomp.architectures.empty()) json["architectures"] = seccomp.architectures;
  if (!seccomp.flags.empty()) json["flags"] = seccomp.flags;
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

Json LinuxJson(const Linux& linux_part) {
  Json json = {{"namespaces", Json::array()}};
  for (const Namespace& entry : linux_part.namespaces) {
    Json item = {{"type", entry.type}};
    if (!entry.path.empty()) item["path"] = entry.path;
    json["namespaces"].push_back(std::move(item));
  }
  for (const Device& device : linux_part.devices) {
    json["devices"].push_back({{"path", device.path},
                               {"type", std::string(1, device.type)},
                               {"major", device.major},
                               {"minor", device.minor},
                               {"fileMode", device.mode},
                               {"uid", device.uid},
                               {"gid", device.gid}});
  }
  if (!linux_part.sysctl.empty()) json["sysctl"] = linux_part.sysctl;
  if (!linux_part.cgroups_path.empty()) json["cgroupsPath"] = linux_part.cgroups_path;
  if (!linux_part.rootfs_propagation.empty()) json["rootfsPropagation"] = linux_part.rootfs_propagation;
  if (linux_part.seccomp) json["seccomp"] = SeccompJson(*linux_part.seccomp);
  if (linux_part.personality) json["personality"] = {{"domain", linux_part.personality->domain}};
  for (const auto& [clock, offset] : linux_part.time_offsets) {
    json["timeOffsets"][clock] = {{"secs", offset.seconds}, {"nanosecs", offset.nanoseconds}};
  }
  if (!linux_part.masked_paths.empty()) json["maskedPaths"] = linux_part.masked_paths;
  if (!linux_part.readonly_paths.empty()) json["readonlyPaths"] = linux_part.readonly_paths;
  return json;
}

// A Result inside the Result of ReadJson, made one.
template <typename T>
Result<T> Flatten(Result<Result<T>> nested) {
  if (!nested) return std::move(nested).error();
  return std::move(nested).value();
}

}  // namespace

Result<Spec> SpecFromJson(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text, "config.json"));
  return SpecFromJsonValue(json);
}

Result<Spec> SpecFromJsonValue(const Json& json) {
  return Flatten(ReadJson("config.json", [&] { return ReadSpec(json); }));
}

Result<Seccomp> SeccompFromJson(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text, "seccomp profile"));
  return ReadJson("seccomp profile", [&] { return ReadSeccomp(json); });
}

// Bytes that are no UTF-8, which an environment value may hold, are replaced: JSON cannot carry them.
std::string SpecToJson(const Spec& spec) {
  return SpecToJsonValue(spec).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json SpecToJsonValue(const Spec& spec) {
  Json json = {{"ociVersion", spec.oci_version},
               {"process", ProcessJson(spec.process)},
               {"root", {{"path", spec.root_path}, {"readonly", spec.root_readonly}}},
               {"mounts", Json::array()},
               {"linux", LinuxJson(spec.linux)}};
  if (!spec.hostname.empty()) json["hostname"] = spec.hostname;
  for (const Mount& mount : spec.mounts) {
    json["mounts"].push_back({{"destination", mount.destination},
                              {"type", mount.type},
                              {"source", mount.source},
                              {"options", mount.options}});
  }
  if (!spec.annotations.empty()) json["annotations"] = spec.annotations;
  return json;
}

}  // namespace fermata::runtime
