#include "sandbox/pods/manifest_expand.h"

#include <algorithm>

namespace fermata::sandbox::pods {

Result<std::string> Expand(std::string_view text, const std::map<std::string, std::string>& variables,
                           size_t limit_bytes) {
  std::string out;
  const size_t last_close = text.rfind(')') == std::string_view::npos ? 0 : text.rfind(')') + 1;
  const char* const closes_until = text.data() + last_close;  // or "$($($(" would be searched to its end each time
  while (!text.empty()) {
    const size_t dollar = text.find('$');
    out += text.substr(0, dollar);
    text.remove_prefix(dollar == std::string_view::npos ? text.size() : dollar);
    if (!text.empty()) {
      const size_t close =
          text.starts_with("$(") && text.data() < closes_until ? text.find(')') : std::string_view::npos;
      const bool reference = close != std::string_view::npos;
      const size_t length = reference ? close + 1 : std::min<size_t>(text.size(), 2);
      const auto found = reference ? variables.find(std::string(text.substr(2, close - 2))) : variables.end();
      // "$$" gives one of the two; "$x", "$(x" and a "$" at the end give themselves.
      out += found != variables.end() ? std::string_view(found->second)
                                      : text.substr(0, text.starts_with("$$") ? 1 : length);
      text.remove_prefix(length);
    }
    if (out.size() > limit_bytes) {
      return Error::Make(ErrorCode::kInvalidArgument, "larger than ", std::to_string(limit_bytes),
                         " bytes after expansion");
    }
  }
  return out;
}

}  // namespace fermata::sandbox::pods
