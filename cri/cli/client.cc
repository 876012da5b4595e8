#include "cri/cli/client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

// Of a daemon that listens: a busy machine lets it wait for its turn.
constexpr auto kAnswerDeadline = std::chrono::seconds(10);
constexpr const char* kIdleSeconds = "60";

// What the caller chose, by option or environment; empty: nothing.
std::string Wanted(const std::string& socket) {
  const char* environment = std::getenv("FERMATA_SOCKET");
  return !socket.empty() ? socket : environment != nullptr ? environment : "";
}

std::string PathOfSocket(std::string socket) {
  constexpr std::string_view kScheme = "unix://";
  if (socket.starts_with(kScheme)) socket.erase(0, kScheme.size());
  return socket.empty() ? DaemonConfig{}.SocketPath() : socket;
}

// Whether somebody listens there: the kernel knows at once, gRPC only when it has been answered.
bool Listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  path.copy(address.sun_path, path.size());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  return errno == EAGAIN;  // its queue is full: connect(2)
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

Result<Client> ClientOf(const std::string& path) {
  Client client;
  client.channel = Open(path);
  if (!client.channel->WaitForConnected(std::chrono::system_clock::now() + kAnswerDeadline)) {
    return Error::Make(ErrorCode::kUnavailable, "the daemon on ", path, " does not answer; see its log: ",
                       HasUnit() ? "journalctl -u fermatad" : DaemonConfig{}.run_dir + "/fermatad.log");
  }
  client.pods = fv1::Pods::NewStub(client.channel);
  client.images = fv1::Images::NewStub(client.channel);
  client.network = fv1::Network::NewStub(client.channel);
  client.system = fv1::System::NewStub(client.channel);
  return client;
}

Result<> Start(const std::string& path, bool chosen) {
  if (chosen) {
    return Error::Make(ErrorCode::kUnavailable, "no daemon answers on ", path, "; start it with: fermatad --socket ",
                       path);
  }
  if (::geteuid() != 0) {
    return Error::Make(ErrorCode::kUnavailable, "no daemon answers on ", path,
                       ", and only root may start one; use sudo");
  }
  RETURN_IF_ERROR(HasUnit() ? RunSystemctl() : SpawnDaemon(), "start the daemon");
  return {};
}

}  // namespace

Result<> ToResult(const grpc::Status& status) {
  if (status.ok()) return {};
  return FromStatus(status);
}

std::string SocketOf(const std::string& socket) { return PathOfSocket(Wanted(socket)); }

Result<Client> ConnectRunning(const std::string& socket) {
  const std::string path = SocketOf(socket);
  if (!Listens(path)) return Error::Make(ErrorCode::kUnavailable, "no daemon answers on ", path);
  return ClientOf(path);
}

Result<Client> Connect(const std::string& socket) {
  const std::string path = SocketOf(socket);
  if (!Listens(path)) RETURN_IF_ERROR(Start(path, !Wanted(socket).empty()));
  return ClientOf(path);
}

}  // namespace fermata::cri::cli
