// What the daemon tells fermata-unpack, and what it answers. Both are of one build: the daemon takes the program from
// its own directory. Plain data of fixed size; each is checked by who reads it.
#pragma once

#include <climits>
#include <cstdint>
#include <string>
#include <string_view>

#include "overlay/unpack.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

// Descriptors of the process; 0, 1 and 2 are /dev/null.
inline constexpr int kRequestFd = 3;  // a sealed memory file that holds an UnpackRequest
inline constexpr int kBlobFd = 4;     // a file or a pipe
inline constexpr int kLayerFd = 5;    // the empty directory
inline constexpr int kReportFd = 6;   // a pipe for UnpackReports
inline constexpr int kFrameFd = 7;    // an empty file for the frame of the tar

inline constexpr uint32_t kUnpackMagic = 0x32504e55;  // "UNP2"; to be changed with the structures
inline constexpr size_t kDigestBytes = 72;            // of the text and a zero byte

struct UnpackRequest {
  uint32_t magic = kUnpackMagic;
  uint32_t seekable = 0;  // the blob: pread(2) at `offset`, else read(2)
  uint64_t offset = 0;
  uint64_t size = 0;
  LayerLimits limits;
  char digest[kDigestBytes] = {};
  char diff_id[kDigestBytes] = {};
};

enum class ReportKind : uint32_t { kProgress, kDone, kFailed };

// Of at most PIPE_BUF bytes, so that one write(2) is one read(2).
struct UnpackReport {
  uint32_t magic = kUnpackMagic;
  ReportKind kind = ReportKind::kProgress;
  uint64_t bytes = 0, inodes = 0;  // kDone: the layer's TreeUsage
  char digest[kDigestBytes] = {};  // kDone: as found
  char diff_id[kDigestBytes] = {};
  uint32_t code = 0;  // kFailed: an ErrorCode
  int32_t saved_errno = 0;
  char text[2048] = {};
};
static_assert(sizeof(UnpackReport) <= PIPE_BUF);

// Copies `text`, or its beginning, with a zero byte behind.
template <size_t size>
void SetText(char (&to)[size], std::string_view text) {
  to[text.copy(to, size - 1)] = '\0';
}
template <size_t size>
std::string GetText(const char (&from)[size]) {
  const std::string_view whole(from, size);
  return std::string(whole.substr(0, whole.find('\0')));
}

inline UnpackReport FailureReport(const Error& error) {
  UnpackReport report{.kind = ReportKind::kFailed};
  report.code = static_cast<uint32_t>(error.code());
  report.saved_errno = error.saved_errno();
  SetText(report.text, error.message());
  return report;
}

}  // namespace fermata::overlay
