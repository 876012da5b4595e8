// Image names and digests: printed, in full or as people write it, a name is read again as the same one.
#include "overlay/digest.h"
#include "overlay/image/reference.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::overlay {
namespace {

using fuzz::Check;

void CheckSame(const Reference& reference, const std::string& printed) {
  const auto again = ParseReference(printed);
  Check(again && again->ToString() == reference.ToString(), reference.ToString() + " is another name as " + printed);
}

void CheckReference(std::string_view text) {
  const auto reference = ParseReference(text);
  if (!reference) return fuzz::CheckError(reference.error());
  Check(!reference->tag.empty() || !reference->digest.empty(), "neither tag nor digest");
  Check(reference->Name().size() <= 255 && reference->tag.size() <= 128, "longer than the limit");
  Check(reference->repository.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ@: ") == std::string::npos &&
            reference->repository.find("..") == std::string::npos,
        "a repository that is none");
  CheckSame(*reference, reference->ToString());
  CheckSame(*reference, reference->Familiar());
}

void CheckDigest(std::string_view text) {
  if (!IsDigest(text)) return;
  const std::string hex = HexOf(text);
  Check(hex.size() == 64 && IsLowerHex(hex) && text == "sha256:" + hex, "a digest that is none");
}

}  // namespace
}  // namespace fermata::overlay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fermata::overlay::CheckReference(fermata::fuzz::TextOf(data, size));
  fermata::overlay::CheckDigest(fermata::fuzz::TextOf(data, size));
  return 0;
}
