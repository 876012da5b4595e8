// Images and System of fermata.v1; declared in pods_service.h.
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cri/pods_service.h"
#include "cri/server.h"
#include "cri/version.h"
#include "runtime/base/file.h"

namespace fermata::cri {
namespace {

void Fill(const overlay::Image& image, fv1::ImageInfo& info) {
  info.set_id(image.id);
  for (const std::string& tag : image.repo_tags) info.add_tags(tag);
  for (const std::string& digest : image.repo_digests) info.add_digests(digest);
  info.set_size_bytes(image.size_bytes);
  info.set_created_at_unix_nanos(image.created_at_ns);
}

}  // namespace

grpc::ServerReadReactor<fv1::ImportRequest>* ImagesService::Import(grpc::CallbackServerContext*,
                                                                   fv1::ImportResponse* response) {
  using Reader = StreamReader<fv1::ImportRequest>;
  return new Reader("Images.Import", engine_.tasks, [this, response](Reader& reader) -> Result<> {
    const PodsService::Client present(presence_);
    // A file without a name: gone with the descriptor, whatever happens.
    ASSIGN_OR_RETURN(const UniqueFd file, OpenAt(AT_FDCWD, engine_.config.data_dir, O_RDWR | O_TMPFILE, 0600),
                     "import");
    std::string name;
    fv1::ImportRequest part;
    while (reader.Read(&part)) {
      if (!part.name().empty()) name = part.name();
      auto written = WriteAll(file.get(), part.data());
      if (!written) {
        const bool full = written.error().saved_errno() == ENOSPC;
        return std::move(written).error().Wrap("import").WithCode(full ? ErrorCode::kResourceExhausted
                                                                       : ErrorCode::kInternal);
      }
    }
    if (reader.cancelled()) return Error::Make(ErrorCode::kCancelled, "import: the client has gone");
    if (::lseek(file.get(), 0, SEEK_SET) != 0) return Error::Errno("import: seek");
    ASSIGN_OR_RETURN(const auto images, engine_.images->Import(file.get(), name), "import");
    for (const overlay::ImagePtr& image : images) Fill(*image, *response->add_images());
    return {};
  });
}

grpc::ServerUnaryReactor* ImagesService::List(grpc::CallbackServerContext* context, const fv1::ListImagesRequest*,
                                              fv1::ListImagesResponse* response) {
  return ServeNow("Images.List", context, [&]() -> Result<> {
    const PodsService::Client present(presence_);
    for (const overlay::ImagePtr& image : engine_.images->List()) Fill(*image, *response->add_images());
    return {};
  });
}

grpc::ServerUnaryReactor* ImagesService::Remove(grpc::CallbackServerContext* context,
                                                const fv1::RemoveImageRequest* request, fv1::RemoveImageResponse*) {
  return Serve("Images.Remove", context, engine_.tasks, [=, this]() -> Result<> {
    const PodsService::Client present(presence_);
    RETURN_IF_ERROR(engine_.images->Get(request->image()));  // people want to know that they mistyped
    return engine_.images->Remove(request->image());
  });
}

grpc::ServerUnaryReactor* SystemService::Info(grpc::CallbackServerContext* context, const fv1::InfoRequest*,
                                              fv1::InfoResponse* response) {
  return ServeNow("System.Info", context, [&]() -> Result<> {
    const PodsService::Client present(presence_);
    response->set_version(kRuntimeVersion);
    response->set_pid(::getpid());
    response->set_data_dir(config_.data_dir);
    response->set_run_dir(config_.run_dir);
    response->set_socket(config_.SocketPath());
    response->set_cgroup_driver("cgroupfs");
    response->set_cgroup_root(engine_.cgroup_mount.Path() + "/" + engine_.config.cgroup_root);
    if (auto controllers = engine_.cgroup_mount.Controllers()) {
      for (const std::string& name : *controllers) response->add_controllers(name);
    }
    const sandbox::NetworkStatus network = engine_.network.Status();
    response->set_network_ready(network.ready);
    response->set_network_reason(network.ready ? "" : network.reason + ": " + network.message);
    response->set_pods(static_cast<uint32_t>(engine_.store->Sandboxes().size()));
    response->set_containers(static_cast<uint32_t>(engine_.store->Containers().size()));
    response->set_images(static_cast<uint32_t>(engine_.images->List().size()));
    utsname host{};
    if (::uname(&host) == 0) response->set_kernel(host.release);
    return {};
  });
}

}  // namespace fermata::cri
