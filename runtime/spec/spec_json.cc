#include "runtime/spec/spec_json.h"

#include <array>

#include "runtime/spec/json_fields.h"
#include "runtime/spec/linux_json.h"

namespace fermata::runtime {
namespace {

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
  RETURN_IF_ERROR(IsObject(json, "process"));
  Process process;
  process.terminal = Get<bool>(json, "terminal");
  const Json& console = Child(json, "consoleSize");
  process.console_width = Get<uint16_t>(console, "width");
  process.console_height = Get<uint16_t>(console, "height");
  const Json& user = Child(json, "user");
  process.user = {Get<uint32_t>(user, "uid"), Get<uint32_t>(user, "gid"), GetOptional<uint32_t>(user, "umask"), {}};
  for (const Json& gid : List(user, "additionalGids")) {
    process.user.additional_gids.push_back(ValueOf<uint32_t>(gid, "additionalGids"));
  }
  process.args = Get<Strings>(json, "args");
  process.env = Get<Strings>(json, "env");
  process.cwd = Get<std::string>(json, "cwd", "/");
  process.capabilities = ReadCapabilities(Child(json, "capabilities"));
  for (const Json& limit : List(json, "rlimits")) {
    process.rlimits.push_back(
        {limit.at("type"), GetRequired<uint64_t>(limit, "soft"), GetRequired<uint64_t>(limit, "hard")});
  }
  process.no_new_privileges = Get<bool>(json, "noNewPrivileges");
  process.oom_score_adj = GetOptional<int>(json, "oomScoreAdj");
  process.apparmor_profile = Get<std::string>(json, "apparmorProfile");
  process.selinux_label = Get<std::string>(json, "selinuxLabel");
  ReadScheduling(json, process);
  if (process.args.empty()) return InvalidField("process.args", "must not be empty");
  if (!process.cwd.starts_with('/')) return InvalidField("process.cwd", "must be absolute");
  return process;
}

std::vector<Hook> ReadHookList(const Json::array_t& json) {
  std::vector<Hook> hooks;
  for (const Json& entry : json) {
    hooks.push_back({entry.at("path"), Get<Strings>(entry, "args"), Get<Strings>(entry, "env"),
                     GetOptional<int>(entry, "timeout")});
  }
  return hooks;
}

struct HookPoint {
  const char* key;
  std::vector<Hook> Hooks::*list;
};
constexpr std::array kHookPoints = {HookPoint{"prestart", &Hooks::prestart},
                                    HookPoint{"createRuntime", &Hooks::create_runtime},
                                    HookPoint{"createContainer", &Hooks::create_container},
                                    HookPoint{"startContainer", &Hooks::start_container},
                                    HookPoint{"poststart", &Hooks::poststart},
                                    HookPoint{"poststop", &Hooks::poststop}};

Result<Hooks> ReadHooks(const Json& json) {
  Hooks hooks;
  for (const HookPoint& point : kHookPoints) {
    hooks.*point.list = ReadHookList(List(json, point.key));
    for (const Hook& hook : hooks.*point.list) {
      const std::string where = std::string("hooks.") + point.key;
      if (!hook.path.starts_with('/')) return InvalidField(where + ".path", "must be absolute");
      if (hook.timeout_seconds && *hook.timeout_seconds <= 0) return InvalidField(where + ".timeout", "must be over 0");
    }
  }
  RETURN_IF_ERROR(IsObject(json, "hooks"));
  return hooks;
}

Json HooksJson(const Hooks& hooks) {
  Json json = Json::object();
  for (const HookPoint& point : kHookPoints) {
    for (const Hook& hook : hooks.*point.list) {
      Json& entry = json[point.key].emplace_back(Json{{"path", hook.path}, {"args", hook.args}, {"env", hook.env}});
      PutOptional(entry, "timeout", hook.timeout_seconds);
    }
  }
  return json;
}

Result<Spec> ReadSpec(const Json& json) {
  RETURN_IF_ERROR(IsObject(json, "config.json"));
  Spec spec;
  spec.oci_version = json.at("ociVersion");
  if (!spec.oci_version.starts_with("1."))
    return InvalidField("ociVersion", "is " + spec.oci_version + ", must be 1.x");
  ASSIGN_OR_RETURN(spec.process, ReadProcess(Child(json, "process")));
  spec.root_path = json.at("root").at("path");
  spec.root_readonly = Get<bool>(json.at("root"), "readonly");
  spec.hostname = Get<std::string>(json, "hostname");
  spec.domainname = Get<std::string>(json, "domainname");
  for (const Json& mount : List(json, "mounts")) {
    spec.mounts.push_back({mount.at("destination"), Get<std::string>(mount, "type"), Get<std::string>(mount, "source"),
                           Get<Strings>(mount, "options"), ReadIdMappings(List(mount, "uidMappings")),
                           ReadIdMappings(List(mount, "gidMappings")), Get<std::string>(mount, "below")});
  }
  spec.annotations = Get<StringMap>(json, "annotations");
  ASSIGN_OR_RETURN(spec.hooks, ReadHooks(Child(json, "hooks")));
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
  if (process.console_width != 0 || process.console_height != 0) {
    json["consoleSize"] = {{"width", process.console_width}, {"height", process.console_height}};
  }
  PutOptional(json, "oomScoreAdj", process.oom_score_adj);
  PutNotEmpty(json, "apparmorProfile", process.apparmor_profile);
  PutNotEmpty(json, "selinuxLabel", process.selinux_label);
  AddSchedulingJson(process, json);
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

Result<Process> ProcessFromJson(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text, "process"));
  return Flatten(ReadJson("process", [&] { return ReadProcess(json); }));
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
               {"linux", LinuxToJsonValue(spec.linux)}};
  PutNotEmpty(json, "hostname", spec.hostname);
  PutNotEmpty(json, "domainname", spec.domainname);
  for (const Mount& mount : spec.mounts) {
    Json& entry = json["mounts"].emplace_back(Json{{"destination", mount.destination},
                                                   {"type", mount.type},
                                                   {"source", mount.source},
                                                   {"options", mount.options}});
    PutNotEmpty(entry, "uidMappings", IdMappingsToJsonValue(mount.uid_mappings));
    PutNotEmpty(entry, "gidMappings", IdMappingsToJsonValue(mount.gid_mappings));
    if (!mount.below.empty()) entry["below"] = mount.below;
  }
  PutNotEmpty(json, "annotations", spec.annotations);
  PutNotEmpty(json, "hooks", HooksJson(spec.hooks));
  return json;
}

}  // namespace fermata::runtime
