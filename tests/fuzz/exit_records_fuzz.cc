// The file of exit records. Raw, nothing is believed that has no checksum; and whole records are found before a torn
// one. The input of the latter: id lengths and numbers.
#include "runtime/monitor/exit_record.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::runtime {
namespace {

using fuzz::Check;

void CheckRaw(std::string_view data) {
  const auto records = ParseExitRecords(data);
  Check(records.size() <= data.size() / sizeof(ExitRecord), "more records than fit");
  for (const ExitRecord& record : records) {
    Check(record.magic == ExitRecord{}.magic && record.id().size() == 64, "a record that is none");
  }
}

void CheckWritten(fuzz::Bytes input) {
  const auto torn = static_cast<size_t>(input.Take<uint8_t>());
  std::string file;
  std::vector<ExitRecord> written;
  while (!input.empty() && written.size() < 16) {
    const auto length = input.Take<uint8_t>();
    const std::string id(input.Take(length % 80));
    written.push_back(MakeExitRecord(id, input.Take<int32_t>(), input.Take<uint8_t>() != 0, input.Take<int64_t>(),
                                     input.Take<int64_t>()));
    file.append(reinterpret_cast<const char*>(&written.back()), sizeof(ExitRecord));
  }
  file.resize(file.size() - std::min(file.size(), torn));
  const size_t whole = file.size() / sizeof(ExitRecord);
  const auto read = ParseExitRecords(file);
  Check(read.size() == whole, "a whole record is lost");
  for (size_t i = 0; i < whole; ++i) {
    Check(std::memcmp(&read[i], &written[i], sizeof(ExitRecord)) == 0, "another record than was written");
  }
}

}  // namespace
}  // namespace fermata::runtime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fermata::runtime::CheckRaw(fermata::fuzz::TextOf(data, size));
  fermata::runtime::CheckWritten(fermata::fuzz::Bytes(data, size));
  return 0;
}
