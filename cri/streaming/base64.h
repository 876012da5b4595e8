// Standard base64 with padding (RFC 4648, 4). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fermata::cri::streaming {

std::string Base64(std::string_view bytes);
// nullopt for what is not base64.
std::optional<std::string> FromBase64(std::string_view text);

}  // namespace fermata::cri::streaming
