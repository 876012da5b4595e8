// A container's output through the log writer and back: taken apart by the reader of `fermata logs`, the records give
// every stream byte by byte, P and F say where lines end, and none is longer than 16 KiB. The input is a sequence of
// writes: a byte that chooses stream and kind, two of length, bytes. The reader gets the raw input too.
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/monitor/log_writer.h"
#include "sandbox/pods/log_follower.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::runtime {
namespace {

using fuzz::Check;
using sandbox::pods::LogLine;
using sandbox::pods::ParseLogLine;

struct Streams {
  std::string bytes[2];  // by stream
};

// What the records say was written. The last line of a stream may be partial.
Streams Reassemble(std::string_view log) {
  Streams streams;
  while (!log.empty()) {
    Check(log.find('\n') != std::string_view::npos, "a record without an end");
    LogLine line;
    const std::string_view record = fuzz::TakeUntil(log, "\n");
    Check(ParseLogLine(record, line), "not a record: " + std::string(record.substr(0, 80)));
    Check(line.content.size() <= LogWriter::kMaxContentBytes, "a record longer than the limit");
    streams.bytes[line.is_stderr ? 1 : 0] += line.content + (line.partial ? "" : "\n");
  }
  return streams;
}

Streams WriteAllOf(fuzz::Bytes input, LogWriter& writer) {
  Streams streams;
  while (!input.empty()) {
    const auto choice = input.Take<uint8_t>();
    const auto length = input.Take<uint16_t>();
    std::string data(input.Take(length));
    if ((choice & 2) != 0) data.resize(length, static_cast<char>('a' + choice % 7));  // long ones from few bytes
    if ((choice & 4) != 0) data.push_back('\n');
    writer.Write(static_cast<Stream>(choice & 1), data);
    streams.bytes[choice & 1] += data;
  }
  writer.End(Stream::kStdout);
  writer.End(Stream::kStderr);
  return streams;
}

void CheckRoundTrip(const uint8_t* data, size_t size) {
  UniqueFd file(::memfd_create("log", MFD_CLOEXEC));
  const UniqueFd reader(::dup(file.get()));
  LogWriter writer{UniqueFd()};
  writer.Reopen(std::move(file));
  const Streams written = WriteAllOf(fuzz::Bytes(data, size), writer);
  Check(writer.dropped_bytes() == 0 && ::lseek(reader.get(), 0, SEEK_SET) == 0, "dropped");
  const auto log = ReadAll(reader.get(), size_t{1} << 30);
  Check(log.has_value(), "read");
  const Streams read = Reassemble(*log);
  Check(read.bytes[0] == written.bytes[0] && read.bytes[1] == written.bytes[1], "other bytes than written");
}

// No descriptor: discards; a full disk: counts.
void CheckDropped(const uint8_t* data, size_t size) {
  LogWriter nowhere{UniqueFd()};
  const Streams written = WriteAllOf(fuzz::Bytes(data, size), nowhere);
  LogWriter full{UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC))};
  (void)WriteAllOf(fuzz::Bytes(data, size), full);
  Check(full.dropped_bytes() >= written.bytes[0].size() + written.bytes[1].size(), "dropped without counting");
}

}  // namespace
}  // namespace fermata::runtime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fermata;
  runtime::CheckRoundTrip(data, size);
  if (size < 64) runtime::CheckDropped(data, size);
  std::string_view text = fuzz::TextOf(data, size);
  while (!text.empty()) {
    sandbox::pods::LogLine line;
    (void)sandbox::pods::ParseLogLine(fuzz::TakeUntil(text, "\n"), line);
  }
  return 0;
}
