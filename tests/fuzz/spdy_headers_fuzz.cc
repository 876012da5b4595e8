// SPDY header blocks as plain text: deflated here, so that the parser behind the inflater is reached; then raw.
#include "cri/streaming/spdy_dictionary.h"
#include "cri/streaming/spdy_frames.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::cri::streaming {
namespace {

using fuzz::Check;

std::string Deflate(std::string_view plain) {
  z_stream zlib{};
  (void)::deflateInit(&zlib, 1);
  (void)::deflateSetDictionary(&zlib, kSpdyDictionary.data(), kSpdyDictionary.size());
  std::string out(plain.size() + plain.size() / 100 + 256, '\0');
  zlib.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  zlib.avail_in = static_cast<uInt>(plain.size());
  zlib.next_out = reinterpret_cast<Bytef*>(out.data());
  zlib.avail_out = static_cast<uInt>(out.size());
  (void)::deflate(&zlib, Z_SYNC_FLUSH);
  out.resize(out.size() - zlib.avail_out);
  (void)::deflateEnd(&zlib);
  return out;
}

}  // namespace
}  // namespace fermata::cri::streaming

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata::cri::streaming;
  const std::string_view text = fermata::fuzz::TextOf(data, size);
  (void)SpdyHeaderReader().Read(text).has_value();
  if (const auto headers = SpdyHeaderReader().Read(Deflate(text))) {
    SpdyHeaderWriter writer;
    const auto again = SpdyHeaderReader().Read(writer.Write(*headers));
    fermata::fuzz::Check(again && *again == *headers, "written again");
  }
  return 0;
}
