// ImageService of the CRI. Thread-safe; owns nothing.
#pragma once

#include <grpcpp/grpcpp.h>

#include <vector>

#include "cri/api/runtime_v1.grpc.pb.h"
#include "cri/config.h"
#include "sandbox/engine.h"

namespace fermata::cri {

namespace v1 = ::runtime::v1;

class ImageService final : public v1::ImageService::CallbackService {
 public:
  explicit ImageService(sandbox::Engine& engine) : engine_(engine) {}

  grpc::ServerUnaryReactor* ListImages(grpc::CallbackServerContext* context, const v1::ListImagesRequest* request,
                                       v1::ListImagesResponse* response) override;
  grpc::ServerUnaryReactor* ImageStatus(grpc::CallbackServerContext* context, const v1::ImageStatusRequest* request,
                                        v1::ImageStatusResponse* response) override;
  grpc::ServerUnaryReactor* RemoveImage(grpc::CallbackServerContext* context, const v1::RemoveImageRequest* request,
                                        v1::RemoveImageResponse* response) override;
  grpc::ServerUnaryReactor* ImageFsInfo(grpc::CallbackServerContext* context, const v1::ImageFsInfoRequest* request,
                                        v1::ImageFsInfoResponse* response) override;
  grpc::ServerUnaryReactor* PullImage(grpc::CallbackServerContext* context, const v1::PullImageRequest* request,
                                      v1::PullImageResponse* response) override;
  grpc::ServerWriteReactor<v1::StreamImagesResponse>* StreamImages(grpc::CallbackServerContext* context,
                                                                   const v1::StreamImagesRequest* request) override;

 private:
  v1::Image Describe(const overlay::Image& image) const;
  std::vector<v1::Image> Select(const v1::ImageFilter& filter) const;

  sandbox::Engine& engine_;
};

}  // namespace fermata::cri
