#include "overlay/registry/remote_image.h"

#include <algorithm>
#include <cstring>

#include "overlay/digest.h"
#include "overlay/registry/remote_blob.h"

namespace fermata::overlay {
namespace {

class SharedTextSource : public ByteSource {
 public:
  explicit SharedTextSource(std::shared_ptr<const std::string> text) : text_(std::move(text)) {}
  Result<size_t> Read(std::span<char> buffer) override {
    const size_t count = std::min(buffer.size(), text_->size() - offset_);
    std::memcpy(buffer.data(), text_->data() + offset_, count);
    offset_ += count;
    return count;
  }

 private:
  std::shared_ptr<const std::string> text_;
  size_t offset_ = 0;
};

class FoundImage : public RemoteImage {
 public:
  FoundImage(ImagePlace place, RemoteDocument target, std::shared_ptr<const Cancellation> cancellation)
      : place_(std::move(place)),
        target_(std::move(target.descriptor)),
        media_type_(std::move(target.media_type)),
        document_(std::make_shared<const std::string>(std::move(target.text))),
        cancellation_(std::move(cancellation)) {}

  [[nodiscard]] const Descriptor& target() const override { return target_; }
  [[nodiscard]] const std::string& media_type() const override { return media_type_; }

  [[nodiscard]] Result<std::unique_ptr<ByteSource>> Open(const Descriptor& blob) const override {
    if (blob.digest == target_.digest)
      return std::unique_ptr<ByteSource>(std::make_unique<SharedTextSource>(document_));
    if (!IsDigest(blob.digest)) {  // it becomes a part of a URL
      return Error::Make(ErrorCode::kInvalidArgument, place_.text, ": a digest is not sha256 in hex");
    }
    const bool manifest = blob.kind == MediaKind::kIndex || blob.kind == MediaKind::kManifest;
    BlobPlan plan;
    plan.endpoints = place_.endpoints;
    plan.path = (manifest ? "/manifests/" : "/blobs/") + blob.digest;
    if (manifest) plan.accept = ManifestAccept();
    plan.what = place_.text + (manifest ? ": fetch manifest " : ": fetch blob ") + blob.digest;
    plan.size_bytes = blob.size_bytes;
    plan.options = place_.options;
    if (blob.kind != MediaKind::kLayer && cancellation_ != nullptr) plan.stops.causes.push_back(cancellation_);
    return RemoteBlob::Make(std::move(plan));
  }

 private:
  const ImagePlace place_;
  const Descriptor target_;
  const std::string media_type_;
  const std::shared_ptr<const std::string> document_;
  const std::shared_ptr<const Cancellation> cancellation_;
};

}  // namespace

std::shared_ptr<RemoteImage> MakeRemoteImage(ImagePlace place, RemoteDocument target,
                                             std::shared_ptr<const Cancellation> cancellation) {
  return std::make_shared<FoundImage>(std::move(place), std::move(target), std::move(cancellation));
}

}  // namespace fermata::overlay
