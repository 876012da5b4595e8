// BlobProvider: where the blobs of images that are to be added come from: an archive, later a registry.
// Implementations may be read by several threads at once.
#pragma once

#include <memory>
#include <string>

#include "overlay/byte_source.h"
#include "overlay/image/config.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

class BlobProvider {
 public:
  virtual ~BlobProvider() = default;
  // The bytes that are said to be `blob`, unchecked. kInvalidArgument when it is not there.
  [[nodiscard]] virtual Result<std::unique_ptr<ByteSource>> Open(const Descriptor& blob) const = 0;
};

// A document (not a layer) in whole: size and digest are checked. kInvalidArgument over 4 MiB.
Result<std::string> ReadBlob(const BlobProvider& provider, const Descriptor& blob);

}  // namespace fermata::overlay
