#include "overlay/byte_source.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

namespace fermata::overlay {

Result<size_t> FdSource::Read(std::span<char> buffer) {
  ssize_t count = 0;
  do {
    count = ::read(fd_, buffer.data(), buffer.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return Error::Errno("read");
  return static_cast<size_t>(count);
}

Result<size_t> RangeSource::Read(std::span<char> buffer) {
  const size_t wanted = std::min<uint64_t>(buffer.size(), left_);
  if (wanted == 0) return size_t{0};
  ssize_t count = 0;
  do {
    count = ::pread(fd_, buffer.data(), wanted, static_cast<off_t>(offset_));
  } while (count < 0 && errno == EINTR);
  if (count < 0) return Error::Errno("pread");
  if (count == 0) {
    return Error::Make(ErrorCode::kInvalidArgument, "read: ", std::to_string(left_), " bytes are missing at the end");
  }
  offset_ += static_cast<uint64_t>(count);
  left_ -= static_cast<uint64_t>(count);
  return static_cast<size_t>(count);
}

uint64_t RangeSource::Skip(uint64_t count) {
  const uint64_t skipped = std::min(count, left_);
  offset_ += skipped;
  left_ -= skipped;
  return skipped;
}

Result<size_t> HashedSource::Read(std::span<char> buffer) {
  if (cancelled_ != nullptr && cancelled_->load(std::memory_order_relaxed)) {
    return Error::Make(ErrorCode::kCancelled, "read: cancelled");
  }
  ASSIGN_OR_RETURN(const size_t count, inner_.Read(buffer));
  hash_.Update({buffer.data(), count});
  count_ += count;
  return count;
}

Result<> HashedSource::Drain() {
  std::vector<char> buffer(size_t{64} << 10);
  for (;;) {
    ASSIGN_OR_RETURN(const size_t count, Read(buffer));
    if (count == 0) return {};
  }
}

Result<std::string> ReadToEnd(ByteSource& source, uint64_t limit_bytes) {
  std::string data;
  std::vector<char> buffer(size_t{64} << 10);
  for (;;) {
    ASSIGN_OR_RETURN(const size_t count, source.Read(buffer));
    if (count == 0) return data;
    if (data.size() + count > limit_bytes) {
      return Error::Make(ErrorCode::kInvalidArgument, "read: longer than ", std::to_string(limit_bytes), " bytes");
    }
    data.append(buffer.data(), count);
  }
}

}  // namespace fermata::overlay
