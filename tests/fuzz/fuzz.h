// What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput: libFuzzer calls it with inputs that
// it makes (preset fuzz), replay_main.cc with those of the corpus (every other build).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace fermata::fuzz {

inline std::string_view TextOf(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

// An invariant. Ends the program, which is how libFuzzer learns of a find.
inline void Check(bool holds, std::string_view what) {
  if (holds) return;
  (void)std::fprintf(stderr, "BROKEN: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

// Foreign bytes are the asker's fault or too much: an error says so, in words.
inline void CheckError(const Error& error) {
  Check(!error.message().empty(), "an error without a text");
  const bool blames_input =
      error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kResourceExhausted;
  Check(blames_input, "foreign bytes are an error of ours: " + error.message());
}

// Values out of an input that is not text; zeros at its end.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : left_(TextOf(data, size)) {}

  template <typename Number>
  Number Take() {
    Number number{};
    const std::string_view taken = Take(sizeof number);
    std::memcpy(&number, taken.data(), taken.size());
    return number;
  }
  std::string_view Take(size_t size) {
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(taken.size());
    return taken;
  }
  [[nodiscard]] bool empty() const { return left_.empty(); }

 private:
  std::string_view left_;
};

// Cuts `text` at the first `separator`; the part before it.
inline std::string_view TakeUntil(std::string_view& text, std::string_view separator) {
  const size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + separator.size());
  return part;
}

}  // namespace fermata::fuzz
