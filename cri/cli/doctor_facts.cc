// What `fermata doctor` looks at.
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "cgroups/cgroup.h"
#include "cgroups/mount.h"
#include "cri/cli/client.h"
#include "cri/cli/doctor.h"
#include "cri/config.h"
#include "cri/version.h"
#include "runtime/base/file.h"

namespace fermata::cri::cli {
namespace {

namespace fs = std::filesystem;

std::string FirstLine(const std::string& path) {
  const auto text = ReadFileAt(AT_FDCWD, path);
  return text ? text->substr(0, text->find('\n')) : "";
}

// The directory itself, or where it would be made.
std::string NearestThere(fs::path path) {
  std::error_code ignored;
  while (path.has_relative_path() && !fs::exists(path, ignored)) path = path.parent_path();
  return path;
}

// As mountinfo names it: the type of the last mount with the longest path that leads there.
std::string FilesystemOf(const std::string& path) {
  const auto text = ReadFileAt(AT_FDCWD, "/proc/self/mountinfo");
  if (!text) return "unknown";
  std::error_code ignored;
  const std::string real = fs::weakly_canonical(path, ignored).string();
  std::string type = "unknown";
  size_t longest = 0;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string point, word;
    for (int i = 0; i < 5; ++i) words >> point;
    while (words >> word && word != "-") {
    }
    words >> word;
    const bool leads = real == point || real.starts_with(point == "/" ? point : point + "/");
    if (!leads || point.size() < longest) continue;
    longest = point.size();
    type = word;
  }
  return type;
}

void LookAtKernel(DoctorFacts& facts) {
  utsname host{};
  if (::uname(&host) == 0) facts.kernel = host.release;
  facts.seccomp_filter = ::prctl(PR_GET_SECCOMP) >= 0 && !FirstLine("/proc/sys/kernel/seccomp/actions_avail").empty();
  facts.apparmor = FirstLine("/sys/module/apparmor/parameters/enabled") == "Y";
  facts.user_namespaces = std::strtoull(FirstLine("/proc/sys/user/max_user_namespaces").c_str(), nullptr, 10);
  // Bad arguments on purpose: a kernel that knows the call says EINVAL or EBADF, one that does not ENOSYS.
  facts.mount_setattr = ::syscall(SYS_mount_setattr, -1, "", 0, nullptr, 0) == 0 || errno != ENOSYS;
  if (!facts.root) return;
  const UniqueFd overlay(static_cast<int>(::syscall(SYS_fsopen, "overlay", 1)));  // FSOPEN_CLOEXEC; mounts nothing
  facts.overlay = overlay.valid();
}

void LookAtCgroups(DoctorFacts& facts) {
  const auto mount = cgroups::FindCgroup2Mount();
  if (!mount) return;
  facts.cgroup_mount = *mount;
  facts.cgroup_writable = ::faccessat(AT_FDCWD, mount->c_str(), W_OK, AT_EACCESS) == 0;
  const auto top = cgroups::Cgroup::Open(*mount);
  if (!top) return;
  if (auto controllers = top->Controllers()) facts.controllers = std::move(*controllers);
}

void LookAtDisk(const std::string& data_dir, DoctorFacts& facts) {
  const std::string place = NearestThere(data_dir);
  facts.data_filesystem = FilesystemOf(place);
  struct statvfs space {};
  if (::statvfs(place.c_str(), &space) != 0) return;
  facts.free_bytes = space.f_bavail * space.f_frsize;
  facts.total_bytes = space.f_blocks * space.f_frsize;
  facts.free_inodes = space.f_favail;
  facts.total_inodes = space.f_files;
}

void LookAtNetwork(const DaemonConfig& config, DoctorFacts& facts) {
  const UniqueFd netfilter(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  facts.netfilter = netfilter.valid();
  std::error_code ignored;
  facts.bridge_loaded = fs::exists("/sys/module/bridge", ignored);
  facts.ip_forward = FirstLine("/proc/sys/net/ipv4/ip_forward") == "1";
  facts.cni_directory = config.cni_conf_dir;
  for (const auto& entry : fs::directory_iterator(config.cni_conf_dir, ignored)) {
    const std::string ending = entry.path().extension();
    if (ending == ".conflist" || ending == ".conf" || ending == ".json") ++facts.cni_configurations;
  }
  for (const std::string& directory : config.cni_bin_dirs) {
    if (fs::is_directory(directory, ignored)) facts.cni_bin_dirs.push_back(directory);
  }
}

DirectoryFacts LookAtDirectory(const std::string& path) {
  DirectoryFacts facts{path};
  struct stat status {};
  facts.exists = ::stat(path.c_str(), &status) == 0;
  facts.mode = status.st_mode;
  facts.uid = status.st_uid;
  return facts;
}

void LookAtDaemon(const std::string& socket, DoctorFacts& facts) {
  const auto client = ConnectRunning(socket);
  if (!client) {
    facts.daemon_error = client.error().message();
    return;
  }
  grpc::ClientContext context;
  fv1::InfoResponse info;
  if (const auto answered = ToResult(client->system->Info(&context, {}, &info)); !answered) {
    facts.daemon_error = answered.error().message();
  } else {
    facts.daemon_version = info.version();
  }
}

}  // namespace

DoctorFacts GatherFacts(const std::string& socket, const std::string& config_file, bool config_named) {
  DoctorFacts facts;
  facts.root = ::geteuid() == 0;
  facts.client_version = kRuntimeVersion;
  DaemonConfig config;
  ConfigSources sources;
  Result<> read = ReadConfig(config_file, config_named, config, sources);
  if (read) read = CheckConfig(config);
  if (!read) facts.config_error = read.error().message();
  facts.socket = SocketOf(socket);
  if (facts.socket == DaemonConfig{}.SocketPath()) facts.socket = config.SocketPath();
  struct stat status {};
  if (::stat(facts.socket.c_str(), &status) == 0) facts.socket_mode = status.st_mode;
  LookAtKernel(facts);
  LookAtCgroups(facts);
  LookAtDisk(config.data_dir, facts);
  LookAtNetwork(config, facts);
  LookAtDaemon(facts.socket, facts);
  for (const std::string& path : {config.data_dir, config.run_dir}) facts.directories.push_back(LookAtDirectory(path));
  return facts;
}

}  // namespace fermata::cri::cli
