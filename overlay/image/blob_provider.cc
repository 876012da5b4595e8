#include "overlay/image/blob_provider.h"

namespace fermata::overlay {

Result<std::string> ReadBlob(const BlobProvider& provider, const Descriptor& blob) {
  const auto invalid = [&](std::string_view reason) {
    return Error::Make(ErrorCode::kInvalidArgument, "read blob ", blob.digest, ": ", reason);
  };
  if (blob.size_bytes > kMaxDocumentBytes) return invalid("larger than 4 MiB");
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, provider.Open(blob));
  ASSIGN_OR_RETURN(std::string data, ReadToEnd(*source, kMaxDocumentBytes), "read blob ", blob.digest);
  if (data.size() != blob.size_bytes) return invalid("has not the size that its descriptor says");
  if (DigestOf(data) != blob.digest) return invalid("has another digest, " + DigestOf(data));
  return data;
}

}  // namespace fermata::overlay
