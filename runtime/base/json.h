// The JSON library, in one place. Its exceptions end here.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata {

using Json = nlohmann::json;

// kInvalidArgument "<what>: ..." when `text` is not JSON or nested deeper than 64 levels.
Result<Json> ParseJson(std::string_view text, std::string_view what);

// Runs `read`, which may use the throwing accessors of Json, and turns an exception into
// kInvalidArgument "<what>: ...".
template <typename Read>
auto ReadJson(std::string_view what, Read&& read) -> Result<decltype(read())> {
  try {
    return read();
  } catch (const Json::exception& failure) {
    return Error::Make(ErrorCode::kInvalidArgument, what, ": ", failure.what());
  }
}

}  // namespace fermata
