// Export of images as an OCI image layout in a tar (image-spec image-layout.md), with the layers as they were unpacked
// and not compressed: the images keep their ids. Keeps no state; any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/image/image_store.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

// Takes the next bytes of an archive.
using ByteSink = std::function<Result<>(std::string_view data)>;

// Each of `references` by the name that was given, or, where an id was, by all its tags. kNotFound; kInvalidArgument: a
// layer that is not what was unpacked.
Result<> ExportImages(ImageStore& store, const std::vector<std::string>& references, const ByteSink& sink);

// What a tar has: the size of its bytes, whose digest is `diff_id`. kInvalidArgument: it has another one.
Result<uint64_t> CheckLayerTar(ByteSource& tar, const std::string& diff_id);

}  // namespace fermata::overlay
