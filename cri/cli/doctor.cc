#include "cri/cli/doctor.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <set>

#include "cri/cli/output.h"
#include "runtime/base/json.h"

namespace fermata::cri::cli {
namespace {

constexpr uint64_t kLeastFreeBytes = uint64_t{1} << 30;
constexpr uint64_t kLeastFreePercent = 10;

Check Fine(std::string name, std::string found) { return {std::move(name), Verdict::kOk, std::move(found), {}}; }

Check User(const DoctorFacts& facts) {
  if (facts.root) return Fine("user", "root");
  return {"user", Verdict::kWarn, "not root: some checks can only be made by root, and the daemon needs it",
          "run sudo fermata doctor"};
}

Check Kernel(const DoctorFacts& facts) {
  int major = 0;
  int minor = 0;
  const bool known = std::sscanf(facts.kernel.c_str(), "%d.%d", &major, &minor) == 2;
  if (known && (major > 6 || (major == 6 && minor >= 1))) return Fine("kernel", "Linux " + facts.kernel);
  return {"kernel", Verdict::kFail, "Linux " + facts.kernel, "Linux 6.1 or newer is needed; install a newer kernel"};
}

Check Cgroups(const DoctorFacts& facts) {
  if (facts.cgroup_mount.empty()) {
    return {"cgroups", Verdict::kFail, "no cgroup2 file system is mounted",
            "start the kernel with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2 none /sys/fs/cgroup"};
  }
  if (facts.root && !facts.cgroup_writable) {
    return {"cgroups", Verdict::kFail, "v2 on " + facts.cgroup_mount + ", where no group can be made",
            "it is mounted read-only, or not delegated to this container: remount it rw"};
  }
  return Fine("cgroups", "v2 on " + facts.cgroup_mount);
}

Check Controllers(const DoctorFacts& facts) {
  std::string missing;
  for (const char* wanted : {"cpu", "memory", "pids", "io", "cpuset"}) {
    if (std::find(facts.controllers.begin(), facts.controllers.end(), wanted) != facts.controllers.end()) continue;
    missing += (missing.empty() ? "" : " ") + std::string(wanted);
  }
  if (missing.empty()) return Fine("controllers", "cpu memory pids io cpuset");
  return {"controllers", Verdict::kWarn, "v2 is without: " + missing,
          "limits that need them are refused; if v1 hierarchies hold them, start the kernel with "
          "systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all, or set cgroup.missing_controllers = \"warn\""};
}

Check Overlay(const DoctorFacts& facts) {
  const std::set<std::string> impossible = {"overlay", "nfs", "cifs", "fuse", "vfat", "9p"};
  if (facts.overlay == false) {
    return {"overlayfs", Verdict::kFail, "the kernel has no overlay file system",
            "modprobe overlay; if it does not exist, use a kernel with CONFIG_OVERLAY_FS"};
  }
  if (impossible.contains(facts.data_filesystem)) {
    return {"overlayfs", Verdict::kFail,
            "the data directory lies on " + facts.data_filesystem + ", which cannot be written through overlayfs",
            "set data_dir to a directory on ext4, xfs, btrfs or tmpfs"};
  }
  const std::string on = "the data directory lies on " + facts.data_filesystem;
  if (!facts.overlay) return {"overlayfs", Verdict::kWarn, on + "; not tried", "run sudo fermata doctor"};
  return Fine("overlayfs", on);
}

Check Idmap(const DoctorFacts& facts) {
  const std::set<std::string> able = {"ext4", "xfs", "btrfs", "f2fs", "tmpfs", "erofs", "ntfs3", "exfat"};
  if (facts.mount_setattr == false) {
    return {"idmapped mounts", Verdict::kWarn, "the kernel has none",
            "pods with a user namespace need them: use Linux 5.12 or newer"};
  }
  if (!able.contains(facts.data_filesystem)) {
    return {"idmapped mounts", Verdict::kWarn, facts.data_filesystem + " is not known to allow them",
            "pods with a user namespace need them: set data_dir to a directory on ext4, xfs or btrfs"};
  }
  return Fine("idmapped mounts", "the kernel has them, on " + facts.data_filesystem);
}

Check UserNamespaces(const DoctorFacts& facts) {
  if (facts.user_namespaces > 0) return Fine("user namespaces", fmt::format("up to {}", facts.user_namespaces));
  return {"user namespaces", Verdict::kWarn, "none are allowed",
          "pods with hostUsers: false cannot run; sysctl user.max_user_namespaces=15000"};
}

Check Seccomp(const DoctorFacts& facts) {
  if (facts.seccomp_filter) return Fine("seccomp", "filters");
  return {"seccomp", Verdict::kFail, "the kernel has no filters", "use a kernel with CONFIG_SECCOMP_FILTER"};
}

Check AppArmor(const DoctorFacts& facts) {
  return Fine("apparmor", facts.apparmor ? "on; profiles are not set for CRI containers yet" : "off; nothing needs it");
}

Check Firewall(const DoctorFacts& facts) {
  if (!facts.netfilter) {
    return {"nftables", Verdict::kFail, "the kernel has no netfilter",
            "modprobe nf_tables; the built-in network needs it"};
  }
  return Fine("nftables", facts.bridge_loaded ? "netfilter and bridge are there"
                                              : "netfilter is there; the bridge is loaded when it is needed");
}

Check Forwarding(const DoctorFacts& facts) {
  if (facts.ip_forward) return Fine("ip_forward", "on");
  return {"ip_forward", Verdict::kWarn, "off; the built-in network turns it on with its first pod",
          "for CNI plugins that do not: sysctl net.ipv4.ip_forward=1"};
}

Check Cni(const DoctorFacts& facts) {
  if (facts.cni_configurations == 0) {
    return {"cni", Verdict::kWarn, "no configuration in " + facts.cni_directory,
            "for kubelet install a network (it puts one there) or set network.cri = \"builtin\"; fermata run has the "
            "built-in network"};
  }
  if (facts.cni_bin_dirs.empty()) {
    return {"cni", Verdict::kFail, "a configuration, but none of the directories for plugins exists",
            "install containernetworking-plugins, or set network.cni_bin_dir"};
  }
  return Fine("cni", fmt::format("{} in {}", facts.cni_configurations, facts.cni_directory));
}

Check Disk(const DoctorFacts& facts) {
  const std::string found = HumanBytes(facts.free_bytes) + " of " + HumanBytes(facts.total_bytes) + " free";
  const bool few_inodes = facts.total_inodes != 0 && facts.free_inodes * 100 / facts.total_inodes < kLeastFreePercent;
  const char* advice = "make room with fermata image prune --all, or move data_dir";
  if (facts.free_bytes < kLeastFreeBytes) return {"disk", Verdict::kFail, found, advice};
  if (few_inodes) {
    return {"disk", Verdict::kWarn,
            fmt::format("{}, but only {} of {} inodes", found, facts.free_inodes, facts.total_inodes), advice};
  }
  if (facts.free_bytes * 100 / std::max<uint64_t>(facts.total_bytes, 1) < kLeastFreePercent) {
    return {"disk", Verdict::kWarn, found, advice};
  }
  return Fine("disk", found);
}

Check Directory(const DirectoryFacts& directory) {
  if (!directory.exists) return Fine(directory.path, "is not there yet; the daemon makes it");
  const std::string found = fmt::format("mode {:04o}, user {}", directory.mode & 07777U, directory.uid);
  if (directory.uid == 0 && (directory.mode & (S_IWGRP | S_IWOTH)) == 0) return Fine(directory.path, found);
  return {directory.path, Verdict::kFail, found + ": others than root may write there",
          "chown root: " + directory.path + " && chmod go-w " + directory.path};
}

Check Socket(const DoctorFacts& facts) {
  if (!facts.socket_mode) return Fine("socket", facts.socket + " is not there: no daemon runs");
  const uint32_t mode = *facts.socket_mode & 07777U;
  if ((mode & 0077U) == 0) return Fine("socket", fmt::format("{}, mode {:04o}", facts.socket, mode));
  return {"socket", Verdict::kFail, fmt::format("{}, mode {:04o}: who may connect is root", facts.socket, mode),
          "chmod 0600 " + facts.socket};
}

Check Configuration(const DoctorFacts& facts) {
  if (facts.config_error.empty()) return Fine("configuration", "fine");
  return {"configuration", Verdict::kFail, facts.config_error, "mend it; fermata config check tells all errors"};
}

Check Daemon(const DoctorFacts& facts) {
  if (facts.daemon_version.empty()) {
    const bool should = facts.socket_mode.has_value() && facts.root;
    return {"daemon", should ? Verdict::kFail : Verdict::kWarn, facts.daemon_error,
            should ? "see its log: journalctl -u fermatad, or /run/fermata/fermatad.log"
                   : "it is started by the first command of root, or by systemctl start fermatad"};
  }
  if (facts.daemon_version == facts.client_version) return Fine("daemon", "answers, version " + facts.daemon_version);
  return {"daemon", Verdict::kWarn, "version " + facts.daemon_version + ", this program is " + facts.client_version,
          "restart the daemon after an update: systemctl restart fermatad; pods go on running"};
}

const char* WordOf(Verdict verdict) {
  constexpr std::array kWords = {"ok", "warn", "fail"};
  return kWords[static_cast<size_t>(verdict)];
}

void PrintChecks(const std::vector<Check>& checks) {
  constexpr std::array kColours = {32, 33, 31};
  const bool colour = UseColour(STDOUT_FILENO);
  size_t width = 0;
  for (const Check& check : checks) width = std::max(width, check.name.size());
  for (const Check& check : checks) {
    const std::string word = fmt::format("{:<4}", WordOf(check.verdict));
    std::cout << (colour ? fmt::format("\x1b[{}m{}\x1b[0m", kColours.at(static_cast<size_t>(check.verdict)), word)
                         : word)
              << fmt::format("  {:<{}}  ", check.name, width) << Printable(check.found) << "\n";
    if (!check.advice.empty()) std::cout << std::string(width + 8, ' ') << "-> " << Printable(check.advice) << "\n";
  }
}

Result<int> Doctor(const Global& global, const std::string& config, bool named) {
  const std::vector<Check> checks = Judge(GatherFacts(global.socket, config, named));
  const bool failed =
      std::any_of(checks.begin(), checks.end(), [](const Check& one) { return one.verdict == Verdict::kFail; });
  if (!global.json) {
    PrintChecks(checks);
    return failed ? 1 : 0;
  }
  Json all = Json::array();
  for (const Check& one : checks) {
    all.push_back(
        {{"check", one.name}, {"verdict", WordOf(one.verdict)}, {"found", one.found}, {"advice", one.advice}});
  }
  std::cout << all.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  return failed ? 1 : 0;
}

}  // namespace

std::vector<Check> Judge(const DoctorFacts& facts) {
  std::vector<Check> checks;
  for (const auto judge : {User, Kernel, Cgroups, Controllers, Overlay, Idmap, UserNamespaces, Seccomp, AppArmor,
                           Firewall, Forwarding, Cni, Disk, Configuration, Socket, Daemon}) {
    checks.push_back(judge(facts));
  }
  for (const DirectoryFacts& directory : facts.directories) checks.push_back(Directory(directory));
  return checks;
}

void AddDoctorCommand(CLI::App& app, const Global& global, std::function<Result<int>()>& command) {
  const auto config = std::make_shared<std::string>("/etc/fermata/config.toml");
  CLI::App* doctor = app.add_subcommand(
      "doctor",
      "Check what the daemon needs of this machine, and say what to do. Needs no daemon and changes nothing; "
      "exit status 1 if something fails");
  CLI::Option* named =
      doctor->add_option("--config", *config, "the daemon's configuration file")->capture_default_str();
  doctor->callback([&, config, named] {
    command = [&global, config, named] { return Doctor(global, *config, named->count() != 0); };
  });
}

}  // namespace fermata::cri::cli
