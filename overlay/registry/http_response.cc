#include <algorithm>
#include <vector>

#include "overlay/registry/http.h"

namespace fermata::overlay {

HttpResponse::~HttpResponse() {
  if (!exchange_->finished()) loop_->Abort(exchange_);
}

std::string_view HttpResponse::Header(std::string_view name) const {
  const auto found =
      std::find_if(headers().begin(), headers().end(), [&](const auto& header) { return header.first == name; });
  return found == headers().end() ? std::string_view() : std::string_view(found->second);
}

Result<size_t> HttpResponse::Read(std::span<char> buffer) {
  bool resume = false;
  auto count = exchange_->Read(buffer, resume);
  if (resume) loop_->Resume(exchange_);
  return count;
}

Result<std::string> HttpResponse::ReadAll(size_t limit_bytes) {
  std::string data;
  std::vector<char> buffer(size_t{64} << 10);
  for (;;) {
    ASSIGN_OR_RETURN(const size_t count, Read(buffer));
    if (count == 0) return data;
    if (data.size() + count > limit_bytes) {
      return Error::Make(ErrorCode::kInvalidArgument, "the answer is longer than ", std::to_string(limit_bytes),
                         " bytes");
    }
    data.append(buffer.data(), count);
  }
}

void HttpResponse::Discard() {
  constexpr size_t kWorthReading = size_t{64} << 10;
  (void)ReadAll(kWorthReading);  // in vain, the connection is lost: that is all
}

std::string StatusText(int status) {
  struct Reason {
    int status;
    const char* text;
  };
  constexpr Reason kReasons[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {413, "Payload Too Large"},
      {416, "Range Not Satisfiable"},
      {429, "Too Many Requests"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
  };
  for (const Reason& reason : kReasons) {
    if (reason.status == status) return std::to_string(status) + " " + reason.text;
  }
  return "status " + std::to_string(status);
}

}  // namespace fermata::overlay
