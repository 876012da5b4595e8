#include "overlay/unpack.h"

#include <memory>

#include "overlay/inflate.h"
#include "overlay/tar_reader.h"

namespace fermata::overlay {
namespace {

Result<> CheckDigest(std::string_view what, const std::string& found, const std::string& expected) {
  if (found == expected) return {};
  return Error::Make(ErrorCode::kInvalidArgument, what, " is ", found, ", the image says ", expected);
}

// Nothing behind the announced size is read, let alone unpacked.
class SizedSource : public ByteSource {
 public:
  SizedSource(ByteSource& inner, uint64_t size) : inner_(inner), left_(size) {}

  Result<size_t> Read(std::span<char> buffer) override {
    ASSIGN_OR_RETURN(const size_t count, inner_.Read(buffer));
    if (count > left_) return Error::Make(ErrorCode::kInvalidArgument, "blob: longer than the image says");
    left_ -= count;
    if (count == 0 && left_ != 0) {
      return Error::Make(ErrorCode::kInvalidArgument, "blob: shorter than the image says, by ", std::to_string(left_),
                         " bytes");
    }
    return count;
  }

 private:
  ByteSource& inner_;
  uint64_t left_;
};

Result<TreeUsage> UnpackTar(ByteSource& tar_bytes, int layer_dir, const LayerLimits& limits) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> tar, TarReader::Open(tar_bytes));
  LayerWriter writer(layer_dir, limits);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, tar->Next());
    if (!more) break;
    RETURN_IF_ERROR(writer.Add(*tar));
  }
  RETURN_IF_ERROR(writer.Finish());
  return writer.usage();
}

Result<UnpackedLayer> Unpack(ByteSource& source, const LayerBlob& blob, int layer_dir, const UnpackOptions& options) {
  SizedSource sized(source, blob.size_bytes);
  HashedSource packed(sized, options.cancelled);
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> inflated,
                   Inflate(packed, {.max_output_bytes = options.limits.max_bytes}));
  HashedSource tar_bytes(*inflated, options.cancelled);
  UnpackedLayer layer;
  ASSIGN_OR_RETURN(layer.usage, UnpackTar(tar_bytes, layer_dir, options.limits));
  // Builders pad tars and streams; both digests are over all of it.
  RETURN_IF_ERROR(tar_bytes.Drain());
  RETURN_IF_ERROR(packed.Drain());
  layer.digest = packed.Digest();
  layer.diff_id = tar_bytes.Digest();
  RETURN_IF_ERROR(CheckDigest("blob digest", layer.digest, blob.digest));
  RETURN_IF_ERROR(CheckDigest("diff id", layer.diff_id, blob.diff_id));
  return layer;
}

}  // namespace

Result<UnpackedLayer> UnpackLayer(ByteSource& source, const LayerBlob& blob, int layer_dir,
                                  const UnpackOptions& options) {
  auto layer = Unpack(source, blob, layer_dir, options);
  if (!layer) return std::move(layer).error().Wrap("unpack layer ", blob.digest);
  return layer;
}

}  // namespace fermata::overlay
