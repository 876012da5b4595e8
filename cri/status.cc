#include "cri/status.h"

#include <string>

namespace fermata::cri {
namespace {

constexpr size_t kMaxText = 2048;

struct Row {
  ErrorCode ours;
  grpc::StatusCode theirs;
};
// To gRPC by the first row of a code; the other rows are for the way back.
constexpr Row kRows[] = {
    {ErrorCode::kInternal, grpc::StatusCode::UNKNOWN},
    {ErrorCode::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT},
    {ErrorCode::kNotFound, grpc::StatusCode::NOT_FOUND},
    {ErrorCode::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS},
    {ErrorCode::kFailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION},
    {ErrorCode::kDeadlineExceeded, grpc::StatusCode::DEADLINE_EXCEEDED},
    {ErrorCode::kResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED},
    {ErrorCode::kUnavailable, grpc::StatusCode::UNAVAILABLE},
    {ErrorCode::kUnimplemented, grpc::StatusCode::UNIMPLEMENTED},
    {ErrorCode::kCancelled, grpc::StatusCode::CANCELLED},
    {ErrorCode::kInvalidArgument, grpc::StatusCode::OUT_OF_RANGE},
    {ErrorCode::kFailedPrecondition, grpc::StatusCode::ABORTED},
    {ErrorCode::kFailedPrecondition, grpc::StatusCode::PERMISSION_DENIED},
    {ErrorCode::kFailedPrecondition, grpc::StatusCode::UNAUTHENTICATED},
};

// At the start of a character, so that the rest stays UTF-8.
std::string Shortened(const std::string& text) {
  if (text.size() <= kMaxText) return text;
  size_t end = kMaxText - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

}  // namespace

grpc::Status ToStatus(const Error& error) {
  for (const Row& row : kRows) {
    if (row.ours == error.code()) return {row.theirs, Shortened(error.message())};
  }
  return {grpc::StatusCode::UNKNOWN, Shortened(error.message())};
}

Error FromStatus(const grpc::Status& status) {
  for (const Row& row : kRows) {
    if (row.theirs == status.error_code()) return {row.ours, status.error_message()};
  }
  return {ErrorCode::kInternal, status.error_message()};
}

}  // namespace fermata::cri
