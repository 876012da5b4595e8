#include "cri/image_service.h"

#include "cri/convert.h"
#include "cri/image_auth.h"
#include "cri/server.h"
#include "runtime/base/json.h"
#include "sandbox/image_use.h"

namespace fermata::cri {
namespace {

void Fill(v1::FilesystemUsage& usage, const std::string& mountpoint, const overlay::TreeUsage& tree) {
  usage.set_timestamp(sandbox::NowNs());
  usage.mutable_fs_id()->set_mountpoint(mountpoint);
  usage.mutable_used_bytes()->set_value(tree.bytes);
  usage.mutable_inodes_used()->set_value(tree.inodes);
}

// What kubelet looks for at the beginning of an error of PullImage.
bool BeginsWithWord(std::string_view text) {
  return text.starts_with("RegistryUnavailable") || text.starts_with("SignatureValidationFailed");
}

}  // namespace

// Images of pods that kubelet does not know are shown pinned: it must not collect them as garbage.
v1::Image ImageService::Describe(const overlay::Image& image) const {
  v1::Image described = ToImage(image);
  if (sandbox::IsPinned(engine_.config.pinned_images, image)) described.set_pinned(true);
  for (const sandbox::ContainerPtr& container : engine_.store->Containers()) {
    if (container->image_id != image.id) continue;
    const sandbox::SandboxPtr pod = engine_.store->Find(container->sandbox);
    if (pod != nullptr && pod->spec.owner == sandbox::Owner::kPods) described.set_pinned(true);
  }
  return described;
}

std::vector<v1::Image> ImageService::Select(const v1::ImageFilter& filter) const {
  std::vector<v1::Image> images;
  const std::string& name = filter.image().image();
  if (!name.empty()) {
    if (const overlay::ImagePtr image = engine_.images->Find(name)) images.push_back(Describe(*image));
    return images;
  }
  for (const overlay::ImagePtr& image : engine_.images->List()) images.push_back(Describe(*image));
  return images;
}

grpc::ServerUnaryReactor* ImageService::ListImages(grpc::CallbackServerContext* context,
                                                   const v1::ListImagesRequest* request,
                                                   v1::ListImagesResponse* response) {
  return ServeNow("ListImages", context, [&]() -> Result<> {
    for (v1::Image& image : Select(request->filter())) *response->add_images() = std::move(image);
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

grpc::ServerUnaryReactor* ImageService::PullImage(grpc::CallbackServerContext*, const v1::PullImageRequest* request,
                                                  v1::PullImageResponse* response) {
  return new LongCall("PullImage", engine_.tasks, [=, this](const LongCall::Cancellation& cancellation) -> Result<> {
    const std::string& handler = request->image().runtime_handler();
    if (!handler.empty()) {
      return Error::Make(ErrorCode::kInvalidArgument, "image.runtime_handler: there is no handler ", handler);
    }
    overlay::PullOptions options;
    ASSIGN_OR_RETURN(options.credentials, CredentialsOf(request->auth(), request->image().image()));
    options.cancellation = cancellation;
    auto image = engine_.puller->Pull(request->image().image(), options);
    // The client takes the word at the beginning only from an error without a code of its own.
    if (!image && BeginsWithWord(image.error().message())) return Error(image.error()).WithCode(ErrorCode::kInternal);
    if (!image) return std::move(image).error();
    response->set_image_ref((*image)->id);
    return {};
  });
}

grpc::ServerWriteReactor<v1::StreamImagesResponse>* ImageService::StreamImages(grpc::CallbackServerContext*,
                                                                               const v1::StreamImagesRequest* request) {
  using Writer = StreamWriter<v1::StreamImagesResponse>;
  return new Writer("StreamImages", engine_.tasks, [this, request = *request](Writer& writer) -> Result<> {
    for (const v1::Image& image : Select(request.filter())) {
      v1::StreamImagesResponse response;
      *response.add_images() = image;
      if (!writer.Write(response)) break;
    }
    return {};
  });
}

}  // namespace fermata::cri
