#include "sandbox/launch_spec.h"

#include <linux/capability.h>
#include <sys/capability.h>

#include <algorithm>
#include <array>
#include <set>

#include "runtime/launch/identity.h"
#include "sandbox/pod_files.h"

namespace fermata::sandbox {
namespace {

using runtime::Spec;
using Strings = std::vector<std::string>;

constexpr const char* kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

constexpr std::array kDefaultCapabilities = {
    "CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",    "CAP_FSETID",
    "CAP_KILL",        "CAP_MKNOD",   "CAP_NET_BIND_SERVICE", "CAP_NET_RAW",   "CAP_SETFCAP",
    "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",           "CAP_SYS_CHROOT"};

const Strings& DefaultMaskedPaths() {
  static const Strings kPaths = {"/proc/acpi",
                                 "/proc/asound",
                                 "/proc/interrupts",
                                 "/proc/kcore",
                                 "/proc/keys",
                                 "/proc/latency_stats",
                                 "/proc/sched_debug",
                                 "/proc/scsi",
                                 "/proc/timer_list",
                                 "/proc/timer_stats",
                                 "/sys/devices/virtual/powercap",
                                 "/sys/firmware"};
  return kPaths;
}
const Strings& DefaultReadonlyPaths() {
  static const Strings kPaths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return kPaths;
}

// All capabilities that we may hand out ourselves.
std::set<std::string> AllCapabilities() {
  std::set<std::string> names;
  for (const std::string& name : runtime::KnownCapabilities()) {
    cap_value_t value = 0;
    if (::cap_from_name(name.c_str(), &value) == 0 && ::cap_get_bound(value) == 1) names.insert(name);
  }
  return names;
}

Strings CapabilityNames(const SecurityContext& security) {
  if (security.privileged) {
    const auto all = AllCapabilities();
    return {all.begin(), all.end()};
  }
  const auto has_all = [](const Strings& names) { return std::find(names.begin(), names.end(), "ALL") != names.end(); };
  std::set<std::string> names(kDefaultCapabilities.begin(), kDefaultCapabilities.end());
  if (has_all(security.add_capabilities)) names = AllCapabilities();
  if (has_all(security.drop_capabilities)) names.clear();
  for (const std::string& name : security.add_capabilities) {
    if (name != "ALL") names.insert(name);
  }
  for (const std::string& name : security.add_ambient_capabilities) names.insert(name);
  for (const std::string& name : security.drop_capabilities) names.erase(name);
  return {names.begin(), names.end()};
}

runtime::Capabilities CapabilitySets(const SecurityContext& security) {
  const Strings names = CapabilityNames(security);
  Strings ambient;
  for (const std::string& name : security.add_ambient_capabilities) {
    if (std::find(names.begin(), names.end(), name) != names.end()) ambient.push_back(name);
  }
  // Inheritable is what is ambient and nothing else (CVE-2022-24769 and its family).
  return {names, names, ambient, names, ambient};
}

Result<Strings> Arguments(const ContainerSpec& container, const overlay::ImageConfig& image) {
  Strings arguments = container.command.empty() ? image.entrypoint : container.command;
  const bool image_command = container.command.empty() && container.args.empty();
  const Strings& rest = image_command ? image.cmd : container.args;
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  if (arguments.empty()) {
    return Error::Make(ErrorCode::kInvalidArgument, "no command: neither the request nor the image ", container.image,
                       " names one");
  }
  return arguments;
}

void SetVariable(Strings& environment, const std::string& entry) {
  const std::string name = entry.substr(0, entry.find('=') + 1);
  for (std::string& known : environment) {
    if (known.starts_with(name)) {
      known = entry;
      return;
    }
  }
  environment.push_back(entry);
}

// From an empty list: defaults, the image's, the request's; later ones win, the place of the first one stays.
Strings Environment(const LaunchSpecInput& input) {
  Strings environment = {kDefaultPath};
  if (const std::string name = HostnameOf(input.sandbox.spec); !name.empty()) {
    SetVariable(environment, "HOSTNAME=" + name);
  }
  SetVariable(environment, "HOME=" + (input.user.home.empty() ? "/" : input.user.home));
  if (input.container.tty) SetVariable(environment, "TERM=xterm");
  for (const std::string& entry : input.image.env) {
    if (entry.find('=') != std::string::npos) SetVariable(environment, entry);  // without: never looked up on the host
  }
  for (const std::string& entry : input.container.env) SetVariable(environment, entry);
  return environment;
}

runtime::User UserOf(const LaunchSpecInput& input) {
  const SecurityContext& security = input.container.security;
  runtime::User user;
  user.uid = input.user.uid;
  user.gid = input.user.gid;
  // The primary group is always in the list, or denying it by file mode could be evaded (CVE-2022-2989).
  std::set<uint32_t> groups = {user.gid};
  if (!security.strict_groups) groups.insert(input.user.additional_gids.begin(), input.user.additional_gids.end());
  for (const int64_t group : security.supplemental_groups) groups.insert(static_cast<uint32_t>(group));
  user.additional_gids.assign(groups.begin(), groups.end());
  return user;
}

void AddSystemMounts(const LaunchSpecInput& input, Spec& spec) {
  const bool writable = input.container.security.privileged;
  const std::string access = writable ? "rw" : "ro";
  const bool host_ipc = input.sandbox.spec.namespaces.ipc == NamespaceMode::kNode;
  spec.mounts = {
      {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
      {"/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}},
      {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", access}}};
  if (host_ipc) {
    spec.mounts.push_back({"/dev/shm", "bind", "/dev/shm", {"rbind", "rprivate"}});
  } else {
    spec.mounts.push_back({"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777"}});
  }
}

// Unless the request mounts something there itself, as kubelet does with its own hosts file.
void AddPodFiles(const LaunchSpecInput& input, Spec& spec) {
  const Strings names = {"hosts", "hostname", "resolv.conf"};
  for (const std::string& name : names) {
    const std::string path = "/etc/" + name;
    const auto& mounts = input.container.mounts;
    if (std::any_of(mounts.begin(), mounts.end(), [&](const ContainerMount& m) { return m.container_path == path; }))
      continue;
    Strings options = {"bind", "rprivate"};
    if (spec.root_readonly) options.emplace_back("ro");
    spec.mounts.push_back({path, "bind", input.pod_files_dir + "/" + name, std::move(options)});
  }
}

size_t Depth(const std::string& path) { return static_cast<size_t>(std::count(path.begin(), path.end(), '/')); }

Strings ImageMountOptions(const ContainerMount& mount) {
  Strings options = {"ro", "nodev"};
  options.insert(options.end(), mount.options.begin(), mount.options.end());
  if (!mount.image_sub_path.empty()) options.push_back("subpath=" + mount.image_sub_path);
  return options;
}

void AddRequestedMounts(const ContainerSpec& container, Spec& spec) {
  std::vector<ContainerMount> mounts = container.mounts;
  // Outer before inner, in the given order where that does not decide.
  std::stable_sort(mounts.begin(), mounts.end(), [](const ContainerMount& a, const ContainerMount& b) {
    return Depth(a.container_path) < Depth(b.container_path);
  });
  for (const ContainerMount& mount : mounts) {
    if (!mount.image_id.empty()) {
      spec.mounts.push_back({mount.container_path, "image", mount.image_id, ImageMountOptions(mount)});
      continue;
    }
    Strings options = {"rbind"};
    constexpr std::array kPropagation = {"rprivate", "rslave", "rshared"};
    options.emplace_back(kPropagation[static_cast<size_t>(mount.propagation)]);
    if (mount.readonly) options.emplace_back(mount.recursive_readonly ? "rro" : "ro");
    for (const std::string& option : mount.options) options.push_back("r" + option);  // or a mount below would evade it
    spec.mounts.push_back(
        {mount.container_path, "bind", mount.host_path, std::move(options), mount.uids, mount.gids, mount.sub_path});
    // A shared mount reaches the host only from a root that is not private itself.
    if (mount.propagation == Propagation::kBidirectional) spec.linux.rootfs_propagation = "rshared";
    if (mount.propagation == Propagation::kHostToContainer && spec.linux.rootfs_propagation.empty()) {
      spec.linux.rootfs_propagation = "rslave";
    }
  }
}

void AddPaths(const SecurityContext& security, Spec& spec) {
  if (security.privileged) return;
  spec.linux.masked_paths = security.masked_paths.empty() ? DefaultMaskedPaths() : security.masked_paths;
  spec.linux.readonly_paths = security.readonly_paths.empty() ? DefaultReadonlyPaths() : security.readonly_paths;
}

}  // namespace

Result<std::string> UserText(const SecurityContext& security, const overlay::ImageConfig& image) {
  const bool named = !security.run_as_username.empty();
  if (security.run_as_group && !security.run_as_user && !named) {
    return Error::Make(ErrorCode::kInvalidArgument, "run_as_group is set without run_as_user or run_as_username");
  }
  if (!named && !security.run_as_user) return image.user;
  std::string text = security.run_as_user ? std::to_string(*security.run_as_user) : security.run_as_username;
  if (security.run_as_group) text += ":" + std::to_string(*security.run_as_group);
  return text;
}

Result<Spec> BuildLaunchSpec(const LaunchSpecInput& input) {
  const ContainerSpec& container = input.container;
  Spec spec;
  spec.root_path = "overlay";
  spec.root_readonly = container.security.readonly_rootfs;
  spec.hostname = HostnameOf(input.sandbox.spec);
  ASSIGN_OR_RETURN(spec.process.args, Arguments(container, input.image));
  spec.process.env = Environment(input);
  spec.process.terminal = container.tty;
  spec.process.cwd = !container.working_dir.empty()     ? container.working_dir
                     : !input.image.working_dir.empty() ? input.image.working_dir
                                                        : "/";
  if (!spec.process.cwd.starts_with('/')) {
    return Error::Make(ErrorCode::kInvalidArgument, "working directory ", spec.process.cwd, " is not absolute");
  }
  spec.process.user = UserOf(input);
  spec.process.capabilities = CapabilitySets(container.security);
  spec.process.no_new_privileges = container.security.no_new_privileges && !container.security.privileged;
  spec.process.oom_score_adj = container.oom_score_adj;
  // A handler in core_pattern would run on the host with what the tenant dumps (S-09).
  spec.process.rlimits = {{"RLIMIT_CORE", 0, 0}};
  AddSystemMounts(input, spec);
  AddPodFiles(input, spec);
  AddRequestedMounts(container, spec);
  AddPaths(container.security, spec);
  spec.linux.devices = input.devices;
  return spec;
}

}  // namespace fermata::sandbox
