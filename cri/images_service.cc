// What Images of fermata.v1 does on this machine; images_transfer.cc has what goes to and from others.
#include "cri/images_service.h"

#include <fcntl.h>
#include <unistd.h>

#include "cri/server.h"
#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "sandbox/image_use.h"

namespace fermata::cri {
void ImagesService::Fill(const overlay::Image& image, fv1::ImageInfo& info) const {
  info.set_id(image.id);
  for (const std::string& tag : image.repo_tags) info.add_tags(tag);
  for (const std::string& digest : image.repo_digests) info.add_digests(digest);
  info.set_size_bytes(image.size_bytes);
  info.set_created_at_unix_nanos(image.created_at_ns);
  info.set_pinned(sandbox::IsPinned(engine_.config.pinned_images, image));
}

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
                                                const fv1::RemoveImageRequest* request,
                                                fv1::RemoveImageResponse* response) {
  return Serve("Images.Remove", context, engine_.tasks, [=, this]() -> Result<> {
    const PodsService::Client present(presence_);
    // People want to know that they mistyped.
    ASSIGN_OR_RETURN(const overlay::ImagePtr image, engine_.images->Get(request->image()));
    if (!request->name_only()) {
      response->set_removed(image->id);
      response->set_image_removed(true);
      return engine_.images->Remove(request->image());
    }
    if (image->repo_tags.size() <= 1 && sandbox::ImagesInUse(engine_).contains(image->id)) {
      return Error::Make(ErrorCode::kFailedPrecondition, "image ", request->image(),
                         ": a container uses it; remove that first, or use --force");
    }
    ASSIGN_OR_RETURN(const overlay::RemovedName removed, engine_.images->RemoveName(request->image()));
    response->set_removed(removed.name);
    response->set_image_removed(removed.image_removed);
    return {};
  });
}

grpc::ServerUnaryReactor* ImagesService::Inspect(grpc::CallbackServerContext* context,
                                                 const fv1::InspectImageRequest* request,
                                                 fv1::InspectImageResponse* response) {
  return Serve("Images.Inspect", context, engine_.tasks, [=, this]() -> Result<> {
    const PodsService::Client present(presence_);
    ASSIGN_OR_RETURN(const overlay::ImagePtr image, engine_.images->Get(request->image()));
    ASSIGN_OR_RETURN(const Json config, ParseJson(image->config_json, "image configuration"));
    ASSIGN_OR_RETURN(const std::string manifest_text, engine_.images->ReadDocument(image->manifest_digest));
    ASSIGN_OR_RETURN(const Json manifest, ParseJson(manifest_text, "manifest"));
    Json layers = Json::array();
    for (const std::string& diff_id : image->config.diff_ids) {
      layers.push_back({{"diff_id", diff_id}, {"disk_bytes", engine_.images->LayerBytes(diff_id)}});
    }
    const Json json = {{"id", image->id},
                       {"tags", image->repo_tags},
                       {"digests", image->repo_digests},
                       {"size_bytes", image->size_bytes},
                       {"created_at_unix_nanos", image->created_at_ns},
                       {"pinned", sandbox::IsPinned(engine_.config.pinned_images, *image)},
                       {"in_use", sandbox::ImagesInUse(engine_).contains(image->id)},
                       {"manifest_digest", image->manifest_digest},
                       {"manifest", manifest},
                       {"config", config},
                       {"layers", layers}};
    response->set_json(json.dump(2, ' ', false, Json::error_handler_t::replace));
    return {};
  });
}

grpc::ServerUnaryReactor* ImagesService::Tag(grpc::CallbackServerContext* context, const fv1::TagImageRequest* request,
                                             fv1::TagImageResponse*) {
  return Serve("Images.Tag", context, engine_.tasks, [=, this]() -> Result<> {
    const PodsService::Client present(presence_);
    return engine_.images->Tag(request->image(), request->tag());
  });
}

grpc::ServerUnaryReactor* ImagesService::Prune(grpc::CallbackServerContext* context,
                                               const fv1::PruneImagesRequest* request,
                                               fv1::PruneImagesResponse* response) {
  return Serve("Images.Prune", context, engine_.tasks, [=, this]() -> Result<> {
    const PodsService::Client present(presence_);
    ASSIGN_OR_RETURN(const sandbox::PruneResult pruned,
                     sandbox::PruneImages(engine_, request->all(), request->dry_run()));
    for (const overlay::ImagePtr& image : pruned.images) Fill(*image, *response->add_images());
    response->set_freed_bytes(pruned.freed_bytes);
    return {};
  });
}

grpc::ServerUnaryReactor* ImagesService::Verify(grpc::CallbackServerContext*, const fv1::VerifyImagesRequest* request,
                                                fv1::VerifyImagesResponse* response) {
  return new LongCall(
      "Images.Verify", engine_.tasks, [=, this](const LongCall::Cancellation& cancellation) -> Result<> {
        const PodsService::Client present(presence_);
        ASSIGN_OR_RETURN(const auto damaged, engine_.images->Verify(request->image(), *cancellation));
        response->set_images(request->image().empty() ? static_cast<uint32_t>(engine_.images->List().size()) : 1);
        for (const overlay::DamagedLayer& layer : damaged) {
          fv1::LayerDamage& told = *response->add_damaged();
          told.set_image_id(layer.image_id);
          const overlay::ImagePtr image = engine_.images->Find(layer.image_id);
          if (image != nullptr && !image->repo_tags.empty()) told.set_image_name(image->repo_tags.front());
          told.set_diff_id(layer.diff_id);
          told.set_reason(layer.reason);
          if (!request->repair()) continue;
          const Result<> repaired = engine_.puller->Repair(layer, {std::nullopt, cancellation, {}});
          told.set_repaired(static_cast<bool>(repaired));
          if (!repaired) told.set_repair_error(repaired.error().message());
        }
        return {};
      });
}

}  // namespace fermata::cri
