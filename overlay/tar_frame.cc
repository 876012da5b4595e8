#include "overlay/tar_frame.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>

#include "overlay/inflate.h"
#include "runtime/base/file.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {
namespace {

constexpr int kLevel = 1;
constexpr size_t kCompressedBytes = size_t{64} << 10;
constexpr size_t kMaxPathBytes = 4096;

// libarchive has looked at most at a header of 1 MiB and a buffer behind the place where it stands: content of a file
// that it has not announced cannot begin further back.
constexpr size_t kMaxPending = size_t{8} << 20;
constexpr size_t kLookAhead = size_t{4} << 20;

// What a record begins with; behind it `size` bytes of the tar, or `path_size` of a path.
enum class Kind : uint32_t { kRaw = 1, kFile = 2, kEnd = 3 };
struct Record {
  Kind kind = Kind::kEnd;
  uint32_t path_size = 0;
  uint64_t size = 0;
};

std::string_view BytesOf(const Record& record) { return {reinterpret_cast<const char*>(&record), sizeof record}; }

void FreeContext(ZSTD_CCtx_s* context) { (void)ZSTD_freeCCtx(context); }

Error Damaged(std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, "frame of a layer: ", reason);
}

}  // namespace

TarFrameWriter::TarFrameWriter(ByteSource& inner, int frame_fd)
    : inner_(inner), frame_fd_(frame_fd), context_(frame_fd < 0 ? nullptr : ZSTD_createCCtx(), &FreeContext) {
  if (context_ == nullptr) return;
  (void)ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kLevel);
  compressed_.resize(kCompressedBytes);
}

TarFrameWriter::~TarFrameWriter() = default;

Result<size_t> TarFrameWriter::Read(std::span<char> buffer) {
  ASSIGN_OR_RETURN(const size_t count, inner_.Read(buffer));
  if (frame_fd_ < 0) return count;
  std::string_view data(buffer.data(), count);
  const uint64_t position = settled_ + pending_.size();
  if (position < content_end_) data.remove_prefix(std::min<uint64_t>(content_end_ - position, data.size()));
  // Content is left out as it comes: settled_ moves over it.
  if (pending_.empty()) settled_ += count - data.size();
  pending_.append(data);
  if (pending_.size() > kMaxPending) RETURN_IF_ERROR(Raw(settled_ + pending_.size() - kLookAhead));
  return count;
}

Result<> TarFrameWriter::File(uint64_t offset, uint64_t size, const std::string& path) {
  if (frame_fd_ < 0 || size == 0) return {};
  if (offset < settled_ || offset > settled_ + pending_.size() || path.size() > kMaxPathBytes) {
    return Error::Make(ErrorCode::kInternal, "frame: ", path.substr(0, 255), ": not where the tar is read");
  }
  RETURN_IF_ERROR(Raw(offset));
  const uint64_t here = std::min<uint64_t>(size, pending_.size());
  pending_.erase(0, here);
  settled_ += here;
  content_end_ = offset + size;
  RETURN_IF_ERROR(Compress(BytesOf({Kind::kFile, static_cast<uint32_t>(path.size()), size})));
  return Compress(path);
}

Result<> TarFrameWriter::Raw(uint64_t end) {
  const uint64_t size = end - settled_;
  if (size == 0) return {};
  RETURN_IF_ERROR(Compress(BytesOf({Kind::kRaw, 0, size})));
  RETURN_IF_ERROR(Compress(std::string_view(pending_).substr(0, size)));
  pending_.erase(0, size);
  settled_ = end;
  return {};
}

Result<> TarFrameWriter::Finish() {
  if (frame_fd_ < 0) return {};
  RETURN_IF_ERROR(Raw(settled_ + pending_.size()));
  return Compress(BytesOf({Kind::kEnd, 0, settled_}), true);
}

Result<> TarFrameWriter::Compress(std::string_view data, bool last) {
  if (context_ == nullptr) return Error::Make(ErrorCode::kResourceExhausted, "frame: no memory");
  ZSTD_inBuffer input{data.data(), data.size(), 0};
  for (;;) {
    ZSTD_outBuffer output{compressed_.data(), compressed_.size(), 0};
    const size_t left = ZSTD_compressStream2(context_.get(), &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left) != 0) return Error::Make(ErrorCode::kInternal, "frame: ", ZSTD_getErrorName(left));
    RETURN_IF_ERROR(WriteAll(frame_fd_, std::string_view(compressed_).substr(0, output.pos)), "frame");
    if (last ? left == 0 : input.pos == input.size) return {};
  }
}

struct TarFrameReader::State {
  State(int frame_fd, int layer) : frame(frame_fd), layer_dir(layer) {}

  Result<> ReadExactly(char* to, size_t size) {
    while (size != 0) {
      ASSIGN_OR_RETURN(const size_t count, records->Read({to, size}));
      if (count == 0) return Damaged("cut short");
      to += count;
      size -= count;
    }
    return {};
  }

  Result<> Open() {
    ASSIGN_OR_RETURN(records, Inflate(frame, {.max_ratio = uint64_t{1} << 32}));  // our own: headers are alike
    return {};
  }

  // Goes to the next record; `left` is what it gives of the tar.
  Result<> Next() {
    file.Reset();
    Record record;
    RETURN_IF_ERROR(ReadExactly(reinterpret_cast<char*>(&record), sizeof record));
    left = record.size;
    switch (record.kind) {
      case Kind::kRaw:
        return {};
      case Kind::kFile:
        return OpenFile(record.path_size);
      case Kind::kEnd:
        ended = true;
        left = 0;
        return {};
    }
    return Damaged("an unknown record");
  }

  Result<> OpenFile(uint32_t path_size) {
    if (path_size == 0 || path_size > kMaxPathBytes) return Damaged("a path of a wrong size");
    std::string path(path_size, '\0');
    RETURN_IF_ERROR(ReadExactly(path.data(), path.size()));
    auto opened = OpenInRoot(layer_dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (!opened) return std::move(opened).error().Wrap("layer");
    struct stat status {};
    if (::fstat(opened->get(), &status) != 0) return Error::Errno("stat ", path);
    if (!S_ISREG(status.st_mode) || static_cast<uint64_t>(status.st_size) != left) {
      return Error::Make(ErrorCode::kInvalidArgument, "layer: ", path,
                         ": not the file that was unpacked, or the layer had it twice");
    }
    file = std::move(opened).value();
    return {};
  }

  FdSource frame;
  int layer_dir;
  std::unique_ptr<ByteSource> records;  // nullptr: not begun
  UniqueFd file;                        // of a kFile record
  uint64_t left = 0;
  bool ended = false;
};

TarFrameReader::TarFrameReader(int frame_fd, int layer_dir) : state_(std::make_unique<State>(frame_fd, layer_dir)) {}
TarFrameReader::~TarFrameReader() = default;

Result<size_t> TarFrameReader::Read(std::span<char> buffer) {
  State& s = *state_;
  if (s.records == nullptr) RETURN_IF_ERROR(s.Open());
  while (s.left == 0 && !s.ended) RETURN_IF_ERROR(s.Next());
  if (s.ended) return size_t{0};
  buffer = buffer.first(std::min<uint64_t>(buffer.size(), s.left));
  size_t count = 0;
  if (s.file.valid()) {
    FdSource file(s.file.get());
    ASSIGN_OR_RETURN(count, file.Read(buffer), "layer");
  } else {
    ASSIGN_OR_RETURN(count, s.records->Read(buffer));
  }
  if (count == 0) return Damaged("cut short");
  s.left -= count;
  return count;
}

}  // namespace fermata::overlay
