#include "runtime/monitor/log_writer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace fermata::runtime {
namespace {

constexpr size_t kFlushBytes = size_t{64} << 10;
constexpr size_t kKeepBytes = size_t{4} << 10;  // a buffer that has grown beyond is given back

}  // namespace

// "2026-01-02T03:04:05.123456789Z": RFC 3339 in UTC; the part up to the second is kept between records.
std::string_view LogWriter::Time() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  constexpr size_t kSecondsLength = 19;
  constexpr size_t kLength = 30;
  if (now.tv_sec != second_ || time_[0] == 0) {
    tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    (void)std::strftime(time_.data(), time_.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    second_ = now.tv_sec;
  }
  time_[kSecondsLength] = '.';
  auto rest = static_cast<uint32_t>(now.tv_nsec);
  for (size_t i = kSecondsLength + 9; i > kSecondsLength; --i, rest /= 10)
    time_[i] = static_cast<char>('0' + rest % 10);
  time_[kLength - 1] = 'Z';
  return {time_.data(), kLength};
}

void LogWriter::Record(Stream stream, std::string_view content, bool whole) {
  out_.append(Time()).append(stream == Stream::kStdout ? " stdout " : " stderr ").append(whole ? "F " : "P ");
  out_.append(content).push_back('\n');
  if (out_.size() >= kFlushBytes) Flush();
}

// Whole records in one write each call, so that a reader never sees half of one for long and records of two
// streams do not mix.
void LogWriter::Flush() {
  std::string_view rest = out_;
  while (!rest.empty() && file_.valid()) {
    const ssize_t count = ::write(file_.get(), rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      dropped_ += rest.size();
      break;
    }
    rest.remove_prefix(static_cast<size_t>(count));
  }
  out_.clear();
  if (out_.capacity() > 2 * kFlushBytes) out_.shrink_to_fit();
}

void LogWriter::Write(Stream stream, std::string_view data) {
  std::string& partial = partial_[static_cast<size_t>(stream)];
  while (!data.empty()) {
    const size_t room = kMaxContentBytes - partial.size();
    const size_t newline = data.find('\n');
    if (newline == std::string_view::npos && data.size() < room) {
      partial.append(data);
      break;
    }
    const bool whole = newline != std::string_view::npos && newline <= room;
    const size_t taken = whole ? newline : room;
    if (partial.empty()) {
      Record(stream, data.substr(0, taken), whole);
    } else {
      partial.append(data.substr(0, taken));
      Record(stream, partial, whole);
      partial.clear();
      if (partial.capacity() > kKeepBytes) partial.shrink_to_fit();
    }
    data.remove_prefix(taken + (whole ? 1 : 0));
  }
  Flush();
}

void LogWriter::End(Stream stream) {
  std::string& partial = partial_[static_cast<size_t>(stream)];
  if (!partial.empty()) Record(stream, partial, false);
  partial = {};
  Flush();
}

}  // namespace fermata::runtime
