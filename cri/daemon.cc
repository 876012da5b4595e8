#include "cri/daemon.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "cri/call.h"
#include "cri/grpc_health.h"
#include "cri/image_service.h"
#include "cri/images_service.h"
#include "cri/metrics_page.h"
#include "cri/metrics_server.h"
#include "cri/network_service.h"
#include "cri/pods_service.h"
#include "cri/runtime_service.h"
#include "cri/service_manager.h"
#include "cri/streaming/backend.h"
#include "cri/streaming/server.h"
#include "cri/system_service.h"
#include "cri/version.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "sandbox/network/builtin_network.h"
#include "sandbox/network/pod_network.h"
#include "sandbox/pods/manifest_directory.h"
#include "sandbox/pods/pod_engine.h"

namespace fermata::cri {
namespace {

constexpr int kMaxMessageBytes = 16 << 20;
constexpr auto kShutdownGrace = std::chrono::seconds(2);

// Held as long as the daemon lives: two of them on one directory would undo each other's work. A lock of the process,
// not of the open file, which a child between its birth and its program would hold on to after a crash of ours.
Result<UniqueFd> LockDirectory(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd directory, MakeDirectories(AT_FDCWD, path));
  ASSIGN_OR_RETURN(UniqueFd lock, OpenAt(directory.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  struct flock whole {
    .l_type = F_WRLCK, .l_whence = SEEK_SET
  };
  if (::fcntl(lock.get(), F_SETLK, &whole) != 0) {
    if (errno != EACCES && errno != EAGAIN) return Error::Errno("lock ", path);
    auto holder = ReadAll(lock.get());
    return Error::Make(ErrorCode::kFailedPrecondition, path, " is in use by another fermatad, pid ",
                       holder ? *holder : "unknown");
  }
  if (::ftruncate(lock.get(), 0) != 0) return Error::Errno("truncate lock of ", path);
  RETURN_IF_ERROR(WriteAll(lock.get(), std::to_string(::getpid())));
  return lock;
}

sandbox::EngineConfig EngineConfigOf(const DaemonConfig& config) {
  sandbox::EngineConfig engine;
  engine.data_dir = config.data_dir;
  engine.run_dir = config.run_dir;
  engine.program_dir = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string instance = config.Instance();
  engine.cgroup_root = instance.empty() ? "fermata" : "fermata-" + instance;
  engine.missing_controllers = config.missing_controllers;
  engine.registry.hosts_dir = config.registry_hosts_dir;
  engine.registry.auth_files = config.registry_auth_files;
  engine.registry.no_progress_timeout = std::chrono::seconds(config.no_progress_seconds);
  engine.signature_policies = config.signature_policies;
  engine.pinned_images = config.pinned_images;
  engine.reject_missing_host_path = config.reject_missing_host_path;
  return engine;
}

streaming::ServerOptions StreamingOptionsOf(const StreamingConfig& config) {
  streaming::ServerOptions options;
  options.address = config.address;
  options.port = static_cast<uint16_t>(config.port);
  options.tls_certificate = config.tls_cert;
  options.tls_key = config.tls_key;
  options.client_ca = config.client_ca;
  options.creation = std::chrono::seconds(config.creation_timeout_seconds);
  options.idle = std::chrono::seconds(config.idle_timeout_seconds);
  return options;
}

sandbox::PodNetworkOptions NetworkOptionsOf(const DaemonConfig& config) {
  sandbox::PodNetworkOptions options;
  options.cni_conf_dir = config.cni_conf_dir;
  options.cni_bin_dirs = config.cni_bin_dirs;
  options.cni_conf_template = config.cni_conf_template;
  options.data_dir = config.data_dir;
  options.instance = config.Instance();
  options.cri_builtin = config.builtin_for_cri;
  options.pods_builtin = config.builtin_for_pods;
  return options;
}

// nullptr: there is none, or it cannot be watched, for which nobody else has to suffer.
std::unique_ptr<sandbox::pods::ManifestDirectory> WatchManifests(const DaemonConfig& config,
                                                                 sandbox::pods::PodEngine& pods) {
  if (config.PodsDir().empty()) return nullptr;
  auto directory = sandbox::pods::ManifestDirectory::Start(pods, config.PodsDir(), config.data_dir + "/manifests.json");
  if (directory) return std::move(directory).value();
  log::error("{}", directory.error().message());
  return nullptr;
}

// nullptr: not asked for. `page` is asked on the engine's tasks.
Result<std::unique_ptr<MetricsServer>> ServeMetrics(const MetricsConfig& config, streaming::Server& streams,
                                                    TaskPool& tasks, MetricsServer::Page page) {
  if (config.address.empty()) return std::unique_ptr<MetricsServer>();
  return MetricsServer::Start({config.address, static_cast<uint16_t>(config.port)}, streams, tasks, std::move(page));
}

// Its socket is made beside its place and moved there ready: who sees it finds its mode right. The lock says that no
// other daemon of this run directory listens on either.
Result<std::unique_ptr<grpc::Server>> Listen(const DaemonConfig& config,
                                             std::initializer_list<grpc::Service*> services) {
  const std::string socket = config.SocketPath();
  const std::string unready = config.UnreadySocketPath();
  (void)::unlink(unready.c_str());
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.AddListeningPort("unix:" + unready, grpc::InsecureServerCredentials());
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return Error::Make(ErrorCode::kInternal, "listen on ", socket);
  if (::chmod(unready.c_str(), 0600) != 0) return Error::Errno("chmod ", unready);
  if (::rename(unready.c_str(), socket.c_str()) != 0) return Error::Errno("rename ", unready, " to ", socket);
  return server;
}

// Until a signal arrives or, with a limit, nothing has been there for that long.
void WaitForEnd(const DaemonConfig& config, const PodsService& pods) {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT}) ::sigaddset(&signals, signal);
  for (;;) {
    if (config.exit_when_idle_seconds == 0) {
      int signal = 0;
      if (::sigwait(&signals, &signal) == 0) return;
      continue;
    }
    const auto left = std::chrono::seconds(config.exit_when_idle_seconds) - pods.IdleTime();
    if (left.count() <= 0) {
      log::info("nothing to do for {} s, leaving", config.exit_when_idle_seconds);
      return;
    }
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left).count() + 1;
    const timespec timeout{seconds, 0};
    if (::sigtimedwait(&signals, nullptr, &timeout) > 0) return;
  }
}

}  // namespace

Result<> RunDaemon(const DaemonConfig& config) {
  RETURN_IF_ERROR(CheckConfig(config));
  SetSlowCall(std::chrono::milliseconds(config.log.slow_operation_ms));
  ASSIGN_OR_RETURN(const UniqueFd data_lock, LockDirectory(config.data_dir));
  ASSIGN_OR_RETURN(const UniqueFd run_lock, LockDirectory(config.run_dir));

  ASSIGN_OR_RETURN(auto builtin, sandbox::BuiltinNetwork::Make(
                                     {config.Instance(), config.subnets, config.direct, static_cast<int>(config.mtu)}));
  sandbox::PodNetwork network(NetworkOptionsOf(config), std::move(builtin));
  ASSIGN_OR_RETURN(const auto engine, sandbox::Engine::Open(EngineConfigOf(config), network), "start");
  sandbox::ContainerManager containers(*engine);
  sandbox::SandboxManager sandboxes(*engine, containers);
  sandbox::pods::PodEngine pods(*engine, sandboxes, containers, CheckGrpcHealth);
  engine->on_change = [&pods](const sandbox::SandboxId& id) { pods.OnChange(id); };
  sandboxes.Recover();
  pods.Start();
  const auto manifests = WatchManifests(config, pods);

  streaming::EngineBackend backend(*engine, containers);
  ASSIGN_OR_RETURN(const auto streams, streaming::Server::Start(StreamingOptionsOf(config.streaming), backend));
  ASSIGN_OR_RETURN(std::unique_ptr<MetricsServer> metrics, ServeMetrics(config.metrics, *streams, engine->tasks, [&] {
                     return MetricsPage({*engine, network, *streams});
                   }));
  // Libraries have opened sockets that would stay open in programs; base/spawn closes them too. Linux 5.11.
  if (::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return Error::Errno("close_range");
  RuntimeService runtime_service(*engine, sandboxes, containers, *streams, config);
  ImageService image_service(*engine);
  PodsService pods_service(*engine, pods, containers, *streams, backend, manifests.get());
  ImagesService images_service(*engine, pods_service);
  NetworkService network_service(*engine, network, config, pods_service);
  SystemService system_service({*engine, network, *streams}, config, pods_service,
                               metrics == nullptr ? "" : metrics->url());

  ASSIGN_OR_RETURN(const std::unique_ptr<grpc::Server> server,
                   Listen(config, {&runtime_service, &image_service, &pods_service, &images_service, &network_service,
                                   &system_service}));
  log::info("fermatad {} serves on {}", kRuntimeVersion, config.SocketPath());
  if (metrics != nullptr) log::info("metrics on {}", metrics->url());
  if (const auto told = NotifyServiceManager("READY=1"); !told) log::warn("{}", told.error().message());

  WaitForEnd(config, pods_service);
  log::info("ending; pods go on running");
  (void)NotifyServiceManager("STOPPING=1");  // was warned of at the start
  pods_service.EndStreams();
  engine->events->End();
  server->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  server->Wait();
  metrics.reset();
  streams->Stop();
  // A start of a pod that is under way is given up beside the engine's end, which may have to come first.
  const std::jthread given_up([&] {
    if (manifests != nullptr) manifests->End();
  });
  pods.End();
  engine->End();
  // Groups of an instance without pods; one that still has processes (our own, say) stays.
  if (engine->store->Sandboxes().empty()) (void)engine->cgroup_mount.Remove(engine->config.cgroup_root);
  (void)::unlink(config.SocketPath().c_str());
  return {};
}

}  // namespace fermata::cri
