#include "cri/image_service.h"

#include "cri/convert.h"
#include "cri/server.h"
#include "runtime/base/json.h"

namespace fermata::cri {
namespace {

void Fill(v1::FilesystemUsage& usage, const std::string& mountpoint, const overlay::TreeUsage& tree) {
  usage.set_timestamp(sandbox::NowNs());
  usage.mutable_fs_id()->set_mountpoint(mountpoint);
  usage.mutable_used_bytes()->set_value(tree.bytes);
  usage.mutable_inodes_used()->set_value(tree.inodes);
}

}  // namespace

// Images of pods that kubelet does not know are shown pinned: it must not collect them as garbage.
v1::Image ImageService::Describe(const overlay::Image& image) const {
  v1::Image described = ToImage(image);
  for (const sandbox::ContainerPtr& container : engine_.store->Containers()) {
    if (container->image_id != image.id) continue;
    const sandbox::SandboxPtr pod = engine_.store->Find(container->sandbox);
    if (pod != nullptr && pod->spec.owner == sandbox::Owner::kPods) described.set_pinned(true);
  }
  return described;
}

grpc::ServerUnaryReactor* ImageService::ListImages(grpc::CallbackServerContext* context,
                                                   const v1::ListImagesRequest* request,
                                                   v1::ListImagesResponse* response) {
  return ServeNow("ListImages", context, [&]() -> Result<> {
    const std::string& name = request->filter().image().image();
    if (!name.empty()) {
      if (const overlay::ImagePtr image = engine_.images->Find(name)) *response->add_images() = Describe(*image);
      return {};
    }
    for (const overlay::ImagePtr& image : engine_.images->List()) *response->add_images() = Describe(*image);
    return {};
  });
}

grpc::ServerUnaryReactor* ImageService::ImageStatus(grpc::CallbackServerContext* context,
                                                    const v1::ImageStatusRequest* request,
                                                    v1::ImageStatusResponse* response) {
  return ServeNow("ImageStatus", context, [&]() -> Result<> {
    auto image = engine_.images->Get(request->image().image());
    if (!image && image.error().code() == ErrorCode::kNotFound) return {};  // absent is an answer, not an error
    if (!image) return std::move(image).error();
    *response->mutable_image() = Describe(**image);
    if (!request->verbose()) return {};
    ASSIGN_OR_RETURN(const Json config, ParseJson((*image)->config_json, "image configuration"));
    (*response->mutable_info())["info"] = Json({{"imageSpec", config}}).dump();
    return {};
  });
}

grpc::ServerUnaryReactor* ImageService::RemoveImage(grpc::CallbackServerContext* context,
                                                    const v1::RemoveImageRequest* request, v1::RemoveImageResponse*) {
  return Serve("RemoveImage", context, engine_.tasks,
               [=, this]() -> Result<> { return engine_.images->Remove(request->image().image()); });
}

grpc::ServerUnaryReactor* ImageService::ImageFsInfo(grpc::CallbackServerContext* context, const v1::ImageFsInfoRequest*,
                                                    v1::ImageFsInfoResponse* response) {
  return Serve("ImageFsInfo", context, engine_.tasks, [=, this]() -> Result<> {
    ASSIGN_OR_RETURN(const overlay::FsUsage usage, engine_.images->Usage());
    // One file system holds layers and writable tops alike, so container_filesystems stays empty.
    overlay::TreeUsage all = usage.images;
    all.bytes += usage.snapshots.bytes;
    all.inodes += usage.snapshots.inodes;
    Fill(*response->add_image_filesystems(), engine_.config.data_dir, all);
    return {};
  });
}

grpc::ServerUnaryReactor* ImageService::PullImage(grpc::CallbackServerContext* context, const v1::PullImageRequest*,
                                                  v1::PullImageResponse*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(Unimplemented("PullImage"));
  return reactor;
}

grpc::ServerWriteReactor<v1::StreamImagesResponse>* ImageService::StreamImages(grpc::CallbackServerContext*,
                                                                               const v1::StreamImagesRequest*) {
  class Refused : public grpc::ServerWriteReactor<v1::StreamImagesResponse> {
   public:
    Refused() { Finish(Unimplemented("StreamImages")); }
    void OnDone() override { delete this; }
  };
  return new Refused();
}

}  // namespace fermata::cri
