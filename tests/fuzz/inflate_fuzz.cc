// gzip, zstd or neither: never more than the limit, and the same bytes however few come at a time.
#include "overlay/inflate.h"
#include "tests/fuzz/scratch.h"

namespace fermata::overlay {
namespace {

using TextSource = fuzz::TextSourceOf<ByteSource>;

constexpr InflateLimits kLimits{.max_output_bytes = uint64_t{1} << 20, .max_ratio = 100, .ratio_free_bytes = 4096};

Result<std::string> InflateAll(std::string_view packed, size_t step, size_t buffer_bytes) {
  TextSource source(packed, step);
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> inflated, Inflate(source, kLimits));
  std::string all;
  std::string buffer(buffer_bytes, '\0');
  for (;;) {
    ASSIGN_OR_RETURN(const size_t count, inflated->Read(buffer));
    if (count == 0) return all;
    all.append(buffer, 0, count);
    fuzz::Check(all.size() <= kLimits.max_output_bytes, "more than the limit");
  }
}

}  // namespace
}  // namespace fermata::overlay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  if (size == 0) return 0;
  const std::string_view packed = fuzz::TextOf(data, size);
  const auto whole = overlay::InflateAll(packed, SIZE_MAX, 65536);
  const auto slowly = overlay::InflateAll(packed, 1 + size / 50, 4096);
  if (!whole) fuzz::CheckError(whole.error());
  if (!slowly) fuzz::CheckError(slowly.error());
  fuzz::Check(whole.has_value() == slowly.has_value(), "an error only when read in other pieces");
  if (whole) fuzz::Check(*whole == *slowly, "other bytes when read in other pieces");
  return 0;
}
