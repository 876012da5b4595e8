// SPDY from a client: any bytes, in any pieces, are frames or an error; header blocks stay within their limits; what
// is written is read again.
#include "cri/streaming/spdy_connection.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::cri::streaming {
namespace {

using fuzz::Check;

struct User : SpdyUser {
  bool OnStream(uint32_t id, const SpdyHeaders& headers) override {
    Check(headers.size() <= SpdyLimits::kHeaders, "too many headers");
    for (const auto& [name, value] : headers) {
      Check(name.size() + value.size() <= 2 * SpdyLimits::kHeaderBytes, "a header is too long");
    }
    return id % 8 != 7;
  }
  void OnData(uint32_t, std::string_view data) override { bytes += data.size(); }
  void OnFin(uint32_t) override {}
  void OnReset(uint32_t) override {}
  size_t bytes = 0;
};

void Run(std::string_view text, size_t step) {
  User user;
  std::string sent;
  constexpr size_t kStreams = 8;
  SpdyConnection spdy(user, kStreams, [&sent](std::string_view head, std::string_view) { sent += head; });
  for (size_t at = 0; at < text.size(); at += step) {
    if (!spdy.Feed(text.substr(at, step))) break;
    Check(spdy.open() <= kStreams, "too many streams");
  }
  Check(user.bytes <= text.size(), "data out of nothing");
  SpdyParser parser;
  std::string_view rest = sent;
  for (;;) {
    const auto frame = parser.Next(rest);
    Check(frame.has_value(), "an answer that is no frame");
    if (!*frame) break;
  }
}

}  // namespace
}  // namespace fermata::cri::streaming

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata::cri::streaming;
  const std::string_view text = fermata::fuzz::TextOf(data, size);
  Run(text, text.size() + 1);
  Run(text, 3);
  return 0;
}
