// Runs a fuzz target over files, where there is no libFuzzer: every input that once was interesting stays a test.
// Arguments are files or directories of files.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "tests/fuzz/fuzz.h"

namespace {

namespace fs = std::filesystem;

void Replay(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // A heap block of just this size, so that a sanitizer sees a read behind it.
  const auto copy = std::make_unique<uint8_t[]>(data.size());
  std::memcpy(copy.get(), data.data(), data.size());
  (void)std::fprintf(stderr, "%s\n", path.c_str());  // the last one is the one that failed
  (void)LLVMFuzzerTestOneInput(copy.get(), data.size());
}

}  // namespace

int main(int argc, char** argv) {
  size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    if (fs::is_regular_file(argv[i])) {
      Replay(argv[i]);
      ++count;
      continue;
    }
    for (const auto& entry : fs::directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      Replay(entry.path());
      ++count;
    }
  }
  (void)std::fprintf(stderr, "%zu inputs\n", count);
  return count == 0 ? 1 : 0;
}
