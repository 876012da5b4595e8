#include "cri/status.h"

#include <gtest/gtest.h>

namespace fermata::cri {
namespace {

TEST(Status, EveryCodeGoesThereAndBack) {
  const std::pair<ErrorCode, grpc::StatusCode> rows[] = {
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
  };
  for (const auto& [ours, theirs] : rows) {
    const grpc::Status status = ToStatus(Error(ours, "text"));
    EXPECT_EQ(status.error_code(), theirs);
    EXPECT_EQ(status.error_message(), "text");
    EXPECT_EQ(FromStatus(status).code(), ours);
    EXPECT_EQ(FromStatus(status).message(), "text");
  }
}

TEST(Status, CodesOfOthersBecomeTheNearest) {
  EXPECT_EQ(FromStatus({grpc::StatusCode::INTERNAL, "x"}).code(), ErrorCode::kInternal);
  EXPECT_EQ(FromStatus({grpc::StatusCode::DATA_LOSS, "x"}).code(), ErrorCode::kInternal);
  EXPECT_EQ(FromStatus({grpc::StatusCode::OUT_OF_RANGE, "x"}).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(FromStatus({grpc::StatusCode::PERMISSION_DENIED, "x"}).code(), ErrorCode::kFailedPrecondition);
}

TEST(Status, LongTextsAreCutBetweenCharacters) {
  std::string text;
  while (text.size() < 5000) text += "\xe2\x82\xac";  // three bytes each
  const std::string cut = ToStatus(Error(ErrorCode::kInternal, text)).error_message();
  EXPECT_LE(cut.size(), 2048U);
  EXPECT_GE(cut.size(), 2040U);
  EXPECT_EQ((cut.size() - 3) % 3, 0U);
  EXPECT_TRUE(cut.ends_with("..."));
  const std::string fits(2048, 'x');
  EXPECT_EQ(ToStatus(Error(ErrorCode::kInternal, fits)).error_message(), fits);
}

}  // namespace
}  // namespace fermata::cri
