// A layer's blob, unpacked: nothing outside of its directory changes, and what is refused is the layer's fault. The
// digests are the true ones, so that every tar gets as far as it can.
#include "overlay/inflate.h"
#include "overlay/unpack.h"
#include "tests/fuzz/scratch.h"

namespace fermata::overlay {
namespace {

using TextSource = fuzz::TextSourceOf<ByteSource>;

constexpr LayerLimits kLimits{.max_bytes = uint64_t{1} << 20, .max_entries = 50};

std::string DiffIdOf(std::string_view blob) {
  TextSource source(blob, SIZE_MAX);
  const auto inflated = Inflate(source, {.max_output_bytes = kLimits.max_bytes});
  if (!inflated) return DigestOf("");
  HashedSource hashed(**inflated);
  return hashed.Drain() ? hashed.Digest() : DigestOf("");
}

void CheckLayer(std::string_view blob, fuzz::Scratch& scratch) {
  TextSource source(blob, SIZE_MAX);
  const LayerBlob expected{DigestOf(blob), blob.size(), DiffIdOf(blob)};
  const auto unpacked = UnpackLayer(source, expected, scratch.in(), {.limits = kLimits});
  if (!unpacked) fuzz::CheckError(unpacked.error());
  scratch.CheckAndRenew();
}

}  // namespace
}  // namespace fermata::overlay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fermata::fuzz::Scratch scratch;
  fermata::overlay::CheckLayer(fermata::fuzz::TextOf(data, size), scratch);
  return 0;
}
