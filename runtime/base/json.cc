#include "runtime/base/json.h"

namespace fermata {

Result<Json> ParseJson(std::string_view text, std::string_view what) {
  constexpr int kMaxDepth = 64;
  bool too_deep = false;
  const auto limit_depth = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;  // false discards the value, so memory stays bounded
  };
  try {
    Json parsed = Json::parse(text, limit_depth);
    if (too_deep) return Error::Make(ErrorCode::kInvalidArgument, what, ": nested too deeply");
    return parsed;
  } catch (const Json::exception& failure) {
    return Error::Make(ErrorCode::kInvalidArgument, what, ": ", failure.what());
  }
}

}  // namespace fermata
