// What `fermata image import` sends: the bytes of a file, or a directory as a tar made on the way.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::cri::cli {

// Calls `send` with piece after piece; it returns false when the receiver has left.
Result<> StreamArchive(const std::string& path, const std::function<bool(std::string_view)>& send);

}  // namespace fermata::cri::cli
