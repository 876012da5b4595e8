// features, spec: what this engine can do, and a config.json to start from.
#include <fcntl.h>
#include <unistd.h>

#include <iostream>

#include "runtime/base/file.h"
#include "runtime/launch/identity.h"
#include "runtime/launch/mount_options.h"
#include "runtime/launch/seccomp.h"
#include "runtime/oci/commands.h"
#include "runtime/spec/spec_json.h"

namespace fermata::runtime::oci {
namespace {

Spec ExampleSpec() {
  Spec spec;
  spec.hostname = "fermata";
  spec.root_readonly = true;
  spec.process.terminal = true;
  spec.process.args = {"sh"};
  spec.process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  const std::vector<std::string> capabilities = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  spec.process.capabilities = {capabilities, capabilities, {}, capabilities, {}};
  spec.process.rlimits = {{"RLIMIT_NOFILE", 1024, 1024}};
  spec.process.no_new_privileges = true;
  spec.mounts = {{"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}, {}, {}},
                 {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
                 {"/dev/pts",
                  "devpts",
                  "devpts",
                  {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
                  {},
                  {}},
                 {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}, {}, {}},
                 {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
                 {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}},
                 {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}, {}, {}}};
  for (const char* type : {"pid", "network", "ipc", "uts", "mount", "cgroup"})
    spec.linux.namespaces.push_back({type, ""});
  spec.linux.device_rules = {{.allow = false}};
  spec.linux.masked_paths = {"/proc/acpi",
                             "/proc/asound",
                             "/proc/kcore",
                             "/proc/keys",
                             "/proc/latency_stats",
                             "/proc/timer_list",
                             "/proc/timer_stats",
                             "/proc/sched_debug",
                             "/proc/scsi",
                             "/sys/firmware",
                             "/sys/devices/virtual/powercap"};
  spec.linux.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return spec;
}

Json CapabilityNames() {
  Json names = Json::array();
  for (const std::string& name : KnownCapabilities()) names.push_back(name);
  return names;
}

}  // namespace

Result<> Features() {
  const Json json = {
      {"ociVersionMin", "1.0.0"},
      {"ociVersionMax", "1.2.0"},
      {"hooks", {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}},
      {"mountOptions", MountOptionNames()},
      {"linux",
       {{"namespaces", {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}},
        {"capabilities", CapabilityNames()},
        {"cgroup", {{"v1", false}, {"v2", true}, {"systemd", false}, {"systemdUser", false}, {"rdma", true}}},
        {"seccomp",
         {{"enabled", true},
          {"actions", SeccompActionNames()},
          {"operators", SeccompOperatorNames()},
          {"knownFlags", SeccompFlagNames()},
          {"supportedFlags", SeccompFlagNames()}}},
        {"apparmor", {{"enabled", true}}},
        {"selinux", {{"enabled", true}}},
        {"intelRdt", {{"enabled", false}}},
        {"mountExtensions", {{"idmap", {{"enabled", true}}}}}}}};
  std::cout << json.dump(2) << "\n";
  return {};
}

Result<> WriteSpec(const std::string& bundle) {
  ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(AT_FDCWD, bundle, O_RDONLY | O_DIRECTORY), "bundle");
  auto file = OpenAt(directory.get(), "config.json", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
  if (!file && file.error().saved_errno() == EEXIST) {
    return Error::Make(ErrorCode::kAlreadyExists, bundle, "/config.json exists already: remove it first");
  }
  if (!file) return std::move(file).error();
  return WriteAll(file->get(), SpecToJsonValue(ExampleSpec()).dump(2) + "\n");
}

}  // namespace fermata::runtime::oci
