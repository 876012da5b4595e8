// Images of fermata.v1. Thread-safe; owns nothing.
#pragma once

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>

#include "cri/api/fermata_v1.grpc.pb.h"
#include "cri/pods_service.h"
#include "overlay/registry/credentials.h"
#include "sandbox/engine.h"

namespace fermata::cri {

class ImagesService final : public fv1::Images::CallbackService {
 public:
  ImagesService(sandbox::Engine& engine, const PodsService& presence) : engine_(engine), presence_(presence) {}

  grpc::ServerReadReactor<fv1::ImportRequest>* Import(grpc::CallbackServerContext* context,
                                                      fv1::ImportResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const fv1::ListImagesRequest* request,
                                 fv1::ListImagesResponse* response) override;
  grpc::ServerUnaryReactor* Remove(grpc::CallbackServerContext* context, const fv1::RemoveImageRequest* request,
                                   fv1::RemoveImageResponse* response) override;
  grpc::ServerUnaryReactor* Inspect(grpc::CallbackServerContext* context, const fv1::InspectImageRequest* request,
                                    fv1::InspectImageResponse* response) override;
  grpc::ServerUnaryReactor* Tag(grpc::CallbackServerContext* context, const fv1::TagImageRequest* request,
                                fv1::TagImageResponse* response) override;
  grpc::ServerUnaryReactor* Prune(grpc::CallbackServerContext* context, const fv1::PruneImagesRequest* request,
                                  fv1::PruneImagesResponse* response) override;
  grpc::ServerUnaryReactor* Verify(grpc::CallbackServerContext* context, const fv1::VerifyImagesRequest* request,
                                   fv1::VerifyImagesResponse* response) override;
  grpc::ServerWriteReactor<fv1::PullProgress>* Pull(grpc::CallbackServerContext* context,
                                                    const fv1::PullImageRequest* request) override;
  grpc::ServerWriteReactor<fv1::PushProgress>* Push(grpc::CallbackServerContext* context,
                                                    const fv1::PushImageRequest* request) override;
  grpc::ServerWriteReactor<fv1::ExportChunk>* Export(grpc::CallbackServerContext* context,
                                                     const fv1::ExportImagesRequest* request) override;
  grpc::ServerUnaryReactor* CheckLogin(grpc::CallbackServerContext* context, const fv1::CheckLoginRequest* request,
                                       fv1::CheckLoginResponse* response) override;

 private:
  void Fill(const overlay::Image& image, fv1::ImageInfo& info) const;

  sandbox::Engine& engine_;
  const PodsService& presence_;
};

// Nothing when the message is unset or empty.
std::optional<overlay::Credentials> CredentialsOf(bool is_set, const fv1::RegistryCredentials& message);

}  // namespace fermata::cri
