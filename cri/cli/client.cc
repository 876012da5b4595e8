#include "cri/cli/client.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "cgroups/cgroup.h"
#include "cgroups/mount.h"
#include "cri/config.h"
#include "cri/status.h"
#include "runtime/base/file.h"
#include "runtime/base/spawn.h"

namespace fermata::cri::cli {
namespace {

constexpr auto kProbe = std::chrono::milliseconds(700);
constexpr auto kStartDeadline = std::chrono::seconds(10);
constexpr const char* kIdleSeconds = "60";

std::string PathOfSocket(std::string socket) {
  constexpr std::string_view kScheme = "unix://";
  if (socket.starts_with(kScheme)) socket.erase(0, kScheme.size());
  return socket.empty() ? DaemonConfig{}.SocketPath() : socket;
}

bool Answers(const std::shared_ptr<grpc::Channel>& channel, std::chrono::milliseconds deadline) {
  return channel->WaitForConnected(std::chrono::system_clock::now() + deadline);
}

std::shared_ptr<grpc::Channel> Open(const std::string& path) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(16 << 20);
  arguments.SetMaxSendMessageSize(16 << 20);
  // A daemon that has just been started is looked for at once, not after gRPC's usual second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  return grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments);
}

std::string Wanted(const std::string& socket) {
  const char* environment = std::getenv("FERMATA_SOCKET");
  return !socket.empty() ? socket : environment != nullptr ? environment : "";
}

Client ClientOf(std::shared_ptr<grpc::Channel> channel) {
  Client client;
  client.pods = fv1::Pods::NewStub(channel);
  client.images = fv1::Images::NewStub(channel);
  client.network = fv1::Network::NewStub(channel);
  client.system = fv1::System::NewStub(channel);
  client.channel = std::move(channel);
  return client;
}

bool HasUnit() {
  struct stat status {};
  if (::stat("/run/systemd/system", &status) != 0) return false;
  for (const char* path : {"/etc/systemd/system/fermatad.service", "/lib/systemd/system/fermatad.service"}) {
    if (::stat(path, &status) == 0) return true;
  }
  return false;
}

Result<> RunSystemctl() {
  SpawnOptions options;
  options.executable = "/usr/bin/systemctl";
  options.arguments = {"systemctl", "start", "fermatad.service"};
  options.fds = {{STDIN_FILENO, 0}, {STDERR_FILENO, 1}, {STDERR_FILENO, 2}};
  ASSIGN_OR_RETURN(const SpawnedProcess process, Spawn(options));
  ASSIGN_OR_RETURN(const int code, Reap(process.pidfd));
  if (code == 0) return {};
  return Error::Make(ErrorCode::kUnavailable, "systemctl start fermatad: exit status ", std::to_string(code));
}

// In a control group of its own, so that the end of the login session is not the end of the daemon.
Result<> SpawnDaemon() {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "fermatad";
  ASSIGN_OR_RETURN(const std::string mount, cgroups::FindCgroup2Mount());
  ASSIGN_OR_RETURN(const cgroups::Cgroup root, cgroups::Cgroup::Open(mount));
  ASSIGN_OR_RETURN(const cgroups::CreatedCgroup group, root.Create("fermata/daemon"));
  ASSIGN_OR_RETURN(const UniqueFd null, OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  RETURN_IF_ERROR(MakeDirectories(AT_FDCWD, DaemonConfig{}.run_dir));
  ASSIGN_OR_RETURN(const UniqueFd log, OpenAt(AT_FDCWD, DaemonConfig{}.run_dir + "/fermatad.log",
                                              O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  SpawnOptions options;
  options.executable = program;
  options.arguments = {"fermatad", "--exit-when-idle", kIdleSeconds};
  options.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  options.fds = {{null.get(), 0}, {log.get(), 1}, {log.get(), 2}};
  options.cgroup_fd = group.cgroup.fd();
  RETURN_IF_ERROR(Spawn(options));  // who loses a race of two ends by itself on the lock; we connect to the winner
  return {};
}

}  // namespace

Result<> ToResult(const grpc::Status& status) {
  if (status.ok()) return {};
  return FromStatus(status);
}

Result<Client> ConnectRunning(const std::string& socket) {
  const std::string path = PathOfSocket(Wanted(socket));
  const auto channel = Open(path);
  if (!std::filesystem::exists(path) || !Answers(channel, kProbe)) {
    return Error::Make(ErrorCode::kUnavailable, "no daemon answers on ", path);
  }
  return ClientOf(channel);
}

Result<Client> Connect(const std::string& socket) {
  const std::string wanted = Wanted(socket);
  const std::string path = PathOfSocket(wanted);
  Client client = ClientOf(Open(path));
  if (!Answers(client.channel, std::filesystem::exists(path) ? kProbe : std::chrono::milliseconds(1))) {
    if (!wanted.empty()) {
      return Error::Make(ErrorCode::kUnavailable, "no daemon answers on ", path, "; start it with: fermatad --socket ",
                         path);
    }
    if (::geteuid() != 0) {
      return Error::Make(ErrorCode::kUnavailable, "no daemon answers on ", path,
                         ", and only root may start one; use sudo");
    }
    RETURN_IF_ERROR(HasUnit() ? RunSystemctl() : SpawnDaemon(), "start the daemon");
    if (!Answers(client.channel, kStartDeadline)) {
      return Error::Make(ErrorCode::kUnavailable, "the daemon was started but does not answer; see ",
                         DaemonConfig{}.run_dir, "/fermatad.log");
    }
  }
  return client;
}

}  // namespace fermata::cri::cli
