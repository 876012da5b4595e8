// Base64 with padding (RFC 4648 section 4), as registries and their files use it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::overlay {

// kInvalidArgument for what is not base64; white space around it is left out.
Result<std::string> DecodeBase64(std::string_view text);
std::string EncodeBase64(std::string_view bytes);

}  // namespace fermata::overlay
