#include "runtime/base/json.h"

namespace fermata {

Result<Json> ParseJson(std::string_view text, std::string_view what) {
  constexpr int kMaxDepth = 64;
  struct TooDeep {};
  const auto limit_depth = [](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) throw TooDeep();  // the only way to stop the parser
    return true;
  };
  try {
    Json parsed = Json::parse(text, limit_depth);
    return parsed;
  } catch (const TooDeep&) {
    return Error::Make(ErrorCode::kInvalidArgument, what, ": nested too deeply");
  } catch (const Json::exception& failure) {
    return Error::Make(ErrorCode::kInvalidArgument, what, ": ", failure.what());
  }
}

}  // namespace fermata
