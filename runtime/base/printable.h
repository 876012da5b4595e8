// Text of somebody else, made fit for a terminal and for messages that must be UTF-8. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace fermata {

// Control codes but tab, bytes that are no UTF-8, and marks that turn the direction of writing as \xNN; for names and
// other words, not for a container's own output.
std::string Printable(std::string_view text);

// The same on one line, which ends where what it tells ends; of more than `limit` bytes the beginning and "...".
std::string OneLine(std::string_view text, size_t limit);

}  // namespace fermata
