#include "cri/streaming/remote_status.h"

#include "runtime/base/json.h"

namespace fermata::cri::streaming {
namespace {

constexpr size_t kMaxObject = 256;

std::string Text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string ExitText(int code) {
  return "command terminated with non-zero exit code: exit status " + std::to_string(code);
}

uint16_t SizeOf(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return 0;
  const auto size = found->get<uint64_t>();
  return size > UINT16_MAX ? 0 : static_cast<uint16_t>(size);
}

}  // namespace

std::string StatusJson(const SessionEnd& end) {
  if (!end.exit_code) {
    return Text({{"metadata", Json::object()},
                 {"status", "Failure"},
                 {"reason", "InternalError"},
                 {"message", "Internal error occurred: " + end.error},
                 {"details", {{"causes", {{{"message", end.error}}}}}},
                 {"code", 500}});
  }
  if (*end.exit_code == 0) return R"({"metadata":{},"status":"Success"})";
  return Text({{"metadata", Json::object()},
               {"status", "Failure"},
               {"reason", "NonZeroExitCode"},
               {"message", ExitText(*end.exit_code)},
               {"details", {{"causes", {{{"reason", "ExitCode"}, {"message", std::to_string(*end.exit_code)}}}}}}});
}

std::string StatusText(const SessionEnd& end) {
  if (!end.exit_code) return end.error;
  return *end.exit_code == 0 ? "" : ExitText(*end.exit_code);
}

void ResizeReader::Read(std::string_view data, const Sink& sink) {
  for (const char c : data) {
    if (c == '{') {
      object_.clear();
      inside_ = true;
    }
    if (!inside_) continue;
    object_.push_back(c);
    if (object_.size() > kMaxObject) inside_ = false;
    if (c != '}' || !inside_) continue;
    inside_ = false;
    const Json object = Json::parse(object_, nullptr, false);
    if (!object.is_object()) continue;
    const uint16_t columns = SizeOf(object, "Width");
    const uint16_t rows = SizeOf(object, "Height");
    if (columns != 0 && rows != 0) sink(columns, rows);
  }
}

}  // namespace fermata::cri::streaming
