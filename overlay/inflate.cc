#include "overlay/inflate.h"

#include <isa-l/igzip_lib.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace fermata::overlay {
namespace {

constexpr size_t kInputBytes = size_t{256} << 10;
constexpr size_t kHeaderBytes = size_t{64} << 10;  // of a gzip member; there is no limit, but names are shorter
constexpr size_t kZstdHeaderBytes = 18;            // ZSTD_FRAMEHEADERSIZE_MAX
constexpr int kZstdWindowLog = 27;                 // 128 MiB; more is refused

Error Damaged(std::string_view kind, std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, "inflate ", kind, ": ", reason);
}

// What was read from the input and not used yet.
class Input {
 public:
  explicit Input(ByteSource& source) : source_(source), buffer_(kInputBytes) {}

  // Reads more, unless `wanted` bytes are here or the input has ended.
  Result<> Fill(size_t wanted) {
    if (data().size() >= wanted || ended_) return {};
    std::copy(buffer_.begin() + static_cast<ptrdiff_t>(begin_), buffer_.begin() + static_cast<ptrdiff_t>(end_),
              buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
    while (end_ < wanted && !ended_) {
      ASSIGN_OR_RETURN(const size_t count, source_.Read(std::span(buffer_).subspan(end_)));
      ended_ = count == 0;
      end_ += count;
    }
    return {};
  }
  [[nodiscard]] std::string_view data() const { return {buffer_.data() + begin_, end_ - begin_}; }
  void Use(size_t count) {
    begin_ += count;
    used_ += count;
  }
  [[nodiscard]] uint64_t used() const { return used_; }

 private:
  ByteSource& source_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t used_ = 0;
  bool ended_ = false;
};

// Counts against the limits; the kinds only decode.
class Inflater : public ByteSource {
 public:
  Inflater(std::unique_ptr<Input> input, const InflateLimits& limits) : input_(std::move(input)), limits_(limits) {}

  Result<size_t> Read(std::span<char> buffer) final {
    ASSIGN_OR_RETURN(const size_t count, Decode(buffer));
    produced_ += count;
    if (produced_ > limits_.max_output_bytes) {
      return Damaged("layer", "more than the limit of " + std::to_string(limits_.max_output_bytes) + " bytes");
    }
    if (produced_ > limits_.ratio_free_bytes && produced_ / limits_.max_ratio > input_->used()) {
      return Damaged("layer", "grows more than the limit of " + std::to_string(limits_.max_ratio) + " times");
    }
    return count;
  }

 protected:
  virtual Result<size_t> Decode(std::span<char> buffer) = 0;
  Input& input() { return *input_; }

 private:
  std::unique_ptr<Input> input_;
  InflateLimits limits_;
  uint64_t produced_ = 0;
};

class PlainInflater : public Inflater {
 public:
  using Inflater::Inflater;

 protected:
  Result<size_t> Decode(std::span<char> buffer) override {
    RETURN_IF_ERROR(input().Fill(1));
    const std::string_view data = input().data().substr(0, buffer.size());
    std::copy(data.begin(), data.end(), buffer.begin());
    input().Use(data.size());
    return data.size();
  }
};

class GzipInflater : public Inflater {
 public:
  using Inflater::Inflater;

 protected:
  Result<size_t> Decode(std::span<char> buffer) override {
    size_t produced = 0;
    while (produced == 0) {
      if (!in_member_) {
        ASSIGN_OR_RETURN(const bool member, NextMember());
        if (!member) break;
      }
      ASSIGN_OR_RETURN(produced, InflateSome(buffer));
    }
    return produced;
  }

 private:
  // Zeros behind the last member are padding, as for gzip(1); anything else is not ours to guess about.
  Result<bool> NextMember() {
    for (;;) {
      RETURN_IF_ERROR(input().Fill(2));
      const std::string_view data = input().data();
      if (data.empty()) return false;
      if (data.starts_with("\x1f\x8b") && !padding_) break;
      const size_t zeros = std::min(data.find_first_not_of('\0'), data.size());
      if (zeros == 0) return Damaged("gzip", "other data behind the end");
      padding_ = true;
      input().Use(zeros);
    }
    // ISA-L takes a header that comes in pieces, but gets the header's checksum wrong then.
    RETURN_IF_ERROR(input().Fill(kHeaderBytes));
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;
    in_member_ = true;
    return true;
  }

  Result<size_t> InflateSome(std::span<char> buffer) {
    RETURN_IF_ERROR(input().Fill(1));
    const std::string_view data = input().data();
    // isal_inflate only reads from next_in; the field is not const in this version.
    state_->next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(data.data()));
    state_->avail_in = static_cast<uint32_t>(data.size());
    state_->next_out = reinterpret_cast<uint8_t*>(buffer.data());
    state_->avail_out = static_cast<uint32_t>(std::min<size_t>(buffer.size(), UINT32_MAX));
    const uint32_t room = state_->avail_out;
    const int code = isal_inflate(state_.get());
    if (code == ISAL_INCORRECT_CHECKSUM) return Damaged("gzip", "wrong checksum");
    if (code < 0) return Damaged("gzip", "damaged data");
    input().Use(data.size() - state_->avail_in);
    const size_t produced = room - state_->avail_out;
    in_member_ = state_->block_state != ISAL_BLOCK_FINISH;
    if (in_member_ && produced == 0 && data.empty()) return Damaged("gzip", "cut short");
    return produced;
  }

  std::unique_ptr<inflate_state> state_ = std::make_unique<inflate_state>();
  bool in_member_ = false;
  bool padding_ = false;
};

class ZstdInflater : public Inflater {
 public:
  ZstdInflater(std::unique_ptr<Input> input, const InflateLimits& limits)
      : Inflater(std::move(input), limits), stream_(ZSTD_createDStream()) {
    (void)ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kZstdWindowLog);
  }

 protected:
  Result<size_t> Decode(std::span<char> buffer) override {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    while (out.pos == 0) {
      RETURN_IF_ERROR(input().Fill(in_frame_ ? 1 : kZstdHeaderBytes));
      const std::string_view data = input().data();
      if (data.empty() && !in_frame_) break;
      if (!in_frame_) left_ = ZSTD_getFrameContentSize(data.data(), data.size());
      ZSTD_inBuffer in{data.data(), data.size(), 0};
      const size_t code = ZSTD_decompressStream(stream_.get(), &out, &in);
      if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge) {
        return Damaged("zstd", "a window larger than the limit of 128 MiB");
      }
      if (ZSTD_isError(code) != 0) return Damaged("zstd", ZSTD_getErrorName(code));
      input().Use(in.pos);
      in_frame_ = code != 0;
      // libzstd looks at this only when it gets the whole frame at once.
      const bool known = left_ != ZSTD_CONTENTSIZE_UNKNOWN && left_ != ZSTD_CONTENTSIZE_ERROR;
      if (known && (out.pos > left_ || (!in_frame_ && out.pos < left_))) {
        return Damaged("zstd", "a frame is not as long as it says");
      }
      if (known) left_ -= out.pos;
      if (data.empty() && in_frame_ && out.pos == 0) return Damaged("zstd", "cut short");
    }
    return out.pos;
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { (void)ZSTD_freeDStream(stream); }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  bool in_frame_ = false;
  uint64_t left_ = 0;  // of the frame's content, or one of ZSTD_CONTENTSIZE_*
};

}  // namespace

CompressionKind CompressionOf(std::string_view first_bytes) {
  if (first_bytes.starts_with("\x1f\x8b")) return CompressionKind::kGzip;
  return first_bytes.starts_with("\x28\xb5\x2f\xfd") ? CompressionKind::kZstd : CompressionKind::kNone;
}

Result<CompressionKind> FindCompression(int fd, uint64_t offset) {
  char head[4] = {};
  const ssize_t count = ::pread(fd, head, sizeof head, static_cast<off_t>(offset));
  if (count < 0) return Error::Errno("pread");
  return CompressionOf({head, static_cast<size_t>(count)});
}

Result<std::unique_ptr<ByteSource>> Inflate(ByteSource& source, const InflateLimits& limits) {
  auto input = std::make_unique<Input>(source);
  RETURN_IF_ERROR(input->Fill(4));
  std::unique_ptr<ByteSource> inflater;
  switch (CompressionOf(input->data())) {
    case CompressionKind::kGzip:
      inflater = std::make_unique<GzipInflater>(std::move(input), limits);
      break;
    case CompressionKind::kZstd:
      inflater = std::make_unique<ZstdInflater>(std::move(input), limits);
      break;
    case CompressionKind::kNone:
      inflater = std::make_unique<PlainInflater>(std::move(input), limits);
      break;
  }
  return inflater;
}

}  // namespace fermata::overlay
