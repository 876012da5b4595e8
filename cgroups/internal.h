// Helpers that the files of this folder share: splitting the text of control files, listing child groups.
// Not for other folders. No state; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::cgroups {

// The parts between the separators, empty ones too; of "" one empty part.
inline std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Without the newline that ends every control file.
inline std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

// Names of the directories in a directory: of the groups right below a group.
Result<std::vector<std::string>> ChildDirectories(int directory);

}  // namespace fermata::cgroups
