#include "overlay/unpack.h"

#include <archive_entry.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "overlay/inflate.h"
#include "overlay/layer_path.h"
#include "overlay/tar_frame.h"
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

// A regular file whose bytes stand in the tar as they are.
bool IsPlainFile(const TarReader& tar) {
  return archive_entry_hardlink(tar.entry()) == nullptr && archive_entry_filetype(tar.entry()) == AE_IFREG &&
         archive_entry_sparse_count(tar.entry()) == 0;
}

Result<TreeUsage> UnpackTar(TarFrameWriter& tar_bytes, int layer_dir, const LayerLimits& limits) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> tar, TarReader::Open(tar_bytes));
  LayerWriter writer(layer_dir, limits);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, tar->Next());
    if (!more) break;
    if (IsPlainFile(*tar)) {
      ASSIGN_OR_RETURN(const std::string path, CleanLayerPath(archive_entry_pathname(tar->entry())));
      const auto size = static_cast<uint64_t>(std::max<int64_t>(archive_entry_size(tar->entry()), 0));
      if (!LayerWriter::IsWhiteout(path)) RETURN_IF_ERROR(tar_bytes.File(tar->DataOffset(), size, path));
    }
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
  TarFrameWriter framed(tar_bytes, options.frame_fd);
  ASSIGN_OR_RETURN(layer.usage, UnpackTar(framed, layer_dir, options.limits));
  // Builders pad tars and streams; both digests, and the frame, are over all of it.
  std::vector<char> padding(size_t{64} << 10);
  for (size_t count = 1; count != 0;) {
    ASSIGN_OR_RETURN(count, framed.Read(padding));
  }
  RETURN_IF_ERROR(framed.Finish());
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
