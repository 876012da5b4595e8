// LogWriter: a container's output as CRI log records, "<time> <stream> <P|F> <content>\n".
//
// Owns the log's descriptor. Lines longer than 16 KiB are cut into P records; what stands without a newline
// at the end is a P record. Bytes are kept as they are. No space left: drop, count, go on. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "runtime/base/unique_fd.h"

namespace fermata::runtime {

enum class Stream : uint8_t { kStdout = 0, kStderr = 1 };

class LogWriter {
 public:
  static constexpr size_t kMaxContentBytes = size_t{16} << 10;

  // An invalid descriptor discards everything.
  explicit LogWriter(UniqueFd file) : file_(std::move(file)) {}

  // Takes bytes as they came from the pipe.
  void Write(Stream stream, std::string_view data);
  // The stream is at its end: writes what is left of it.
  void End(Stream stream);
  // Everything from now on goes to the new file. What is buffered of a line goes there as well.
  void Reopen(UniqueFd file) { file_ = std::move(file); }

  [[nodiscard]] uint64_t dropped_bytes() const { return dropped_; }

 private:
  void Record(Stream stream, std::string_view content, bool whole);
  void Flush();
  std::string_view Time();

  UniqueFd file_;
  std::array<std::string, 2> partial_;  // of a line, by stream
  std::string out_;                     // records of one Write, written together
  uint64_t dropped_ = 0;
  time_t second_ = 0;  // what time_ was made for
  std::array<char, 40> time_{};
};

}  // namespace fermata::runtime
