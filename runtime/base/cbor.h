// CBOR by the JSON library, for what we wrote ourselves and a disk may have damaged. Pure; any thread.
#pragma once

#include <string_view>

#include "runtime/base/json.h"
#include "runtime/base/result.h"

namespace fermata {

// kInvalidArgument "<what>: ..." when `bytes` are not CBOR, nested deeper than 64 levels, or have a fraction among
// them: no record has one, and the library would make any whole number of it.
Result<Json> ParseCbor(std::string_view bytes, std::string_view what);

}  // namespace fermata
