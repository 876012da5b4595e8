// Text of somebody else, made fit for a terminal and for messages that must be UTF-8. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace fermata {

// Control codes but tab, bytes that are no UTF-8, and marks that turn the direction of writing as \xNN; for names and
// other words, not for a container's own output.
std::string Printable(std::string_view text);

}  // namespace fermata
