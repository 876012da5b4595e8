// State records: what is decoded is encoded to what is decoded as the same.
#include "sandbox/record_codec.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::sandbox {
namespace {

template <typename Record>
void CheckRecord(const Result<Record>& record, Result<Record> (*decode)(std::string_view)) {
  if (!record) return fuzz::CheckError(record.error());
  const std::string bytes = Encode(*record);
  const auto again = decode(bytes);
  fuzz::Check(again.has_value(), again ? "" : "what was encoded is no record: " + again.error().message());
  fuzz::Check(Encode(*again) == bytes, "another record when decoded again");
}

}  // namespace
}  // namespace fermata::sandbox

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata::sandbox;
  const std::string_view bytes = fermata::fuzz::TextOf(data, size);
  CheckRecord(DecodeSandbox(bytes), DecodeSandbox);
  CheckRecord(DecodeContainer(bytes), DecodeContainer);
  return 0;
}
