#include "overlay/deflate.h"

#include <isa-l/igzip_lib.h>

#include <memory>
#include <vector>

#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {
constexpr size_t kBufferBytes = size_t{256} << 10;
}  // namespace

Result<> WriteGzip(ByteSource& source, int fd) {
  const auto stream = std::make_unique<isal_zstream>();  // some 80 KiB, too much for a stack
  std::vector<uint8_t> level(ISAL_DEF_LVL2_DEFAULT);
  std::vector<char> input(kBufferBytes);
  std::vector<char> output(kBufferBytes);
  isal_deflate_init(stream.get());
  stream->gzip_flag = IGZIP_GZIP;
  stream->level = 2;
  stream->level_buf = level.data();
  stream->level_buf_size = static_cast<uint32_t>(level.size());
  do {
    if (stream->avail_in == 0 && stream->end_of_stream == 0) {
      ASSIGN_OR_RETURN(const size_t count, source.Read(input));
      stream->next_in = reinterpret_cast<uint8_t*>(input.data());
      stream->avail_in = static_cast<uint32_t>(count);
      stream->end_of_stream = count == 0 ? 1 : 0;
    }
    stream->next_out = reinterpret_cast<uint8_t*>(output.data());
    stream->avail_out = static_cast<uint32_t>(output.size());
    if (isal_deflate(stream.get()) != COMP_OK) return Error::Make(ErrorCode::kInternal, "gzip: isal_deflate");
    RETURN_IF_ERROR(WriteAll(fd, {output.data(), output.size() - stream->avail_out}), "gzip");
  } while (stream->internal_state.state != ZSTATE_END);
  return {};
}

}  // namespace fermata::overlay
