// The hostile corpus as root and by fermata-unpack, several at once; bombs.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/fixtures/time_scale.h"
#include "tests/overlay/hostile_corpus.h"
#include "tests/overlay/process_fixture.h"
#include "tests/overlay/raw_tar.h"

namespace fermata::overlay::testing {
namespace {

using std::chrono::steady_clock;
using ::testing::HasSubstr;

class HostileByProcess : public ProcessFixture {
 protected:
  // RSS of this process, in bytes.
  static uint64_t Resident() {
    const std::string text = *ReadFileAt(AT_FDCWD, "/proc/self/statm");
    return std::stoull(text.substr(text.find(' '))) * 4096;
  }
};

TEST_F(HostileByProcess, L01NothingLeavesTheLayerWhateverRunsBesideIt) {
  const TempDir dir;
  const Canary canary(dir.path() + "/canary");
  const std::vector<HostileCase> cases = HostileCorpus(canary.directory());
  std::atomic<size_t> next = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, name = "layer" + std::to_string(i)] {
        for (size_t index = next++; index < cases.size(); index = next++) {
          RunHostileCase(dir, name, cases[index], [this](const std::string& tar, int layer) {
            const UniqueFd file = MemoryFile(tar);
            RangeSource source(file.get(), 0, tar.size());
            return UnpackConfined(unpacker_, source, {DigestOf(tar), tar.size(), DigestOf(tar)}, {.layer_dir = layer},
                                  *cancellation_);
          });
        }
      });
    }
  }
  canary.ExpectUnchanged();
  EXPECT_EQ(ListDirectory(dir.fd())->size(), 1U) << "something was made beside the layers";
}

// A blob of `packed` again and again, as a file.
struct Bomb {
  UniqueFd file;
  std::string digest;
  uint64_t size = 0;
};

Bomb Repeat(const std::string& packed, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += packed;
  return {MemoryFile(all), DigestOf(all), all.size()};
}

TEST_F(HostileByProcess, L06BombsAreRefusedQuicklyAndGiveTheDiskBack) {
  const std::string huge_file = RawEntry({.name = "bomb", .size = uint64_t{60} << 30});
  const std::string zeros(32 << 20, '\0');
  struct Row {
    const char* what;
    Compression kind;
    LayerLimits limits;
    const char* text;
  };
  const Row rows[] = {
      {"ratio of gzip", Compression::kGzip, {}, "limit of 1000 times"},
      {"ratio of zstd", Compression::kZstd, {}, "limit of 1000 times"},
      {"bytes of gzip", Compression::kGzip, {.max_bytes = uint64_t{96} << 20}, "limit of"},
      {"bytes of zstd", Compression::kZstd, {.max_bytes = uint64_t{48} << 20}, "limit of"},
  };
  const uint64_t before = Resident();
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    // gzip reaches a ratio of 1,030 at most.
    const Bomb bomb = Repeat(Compress(huge_file, row.kind) + Compress(zeros, row.kind), 1);
    const Bomb long_bomb = Repeat(Compress(zeros, row.kind), 12);
    std::string packed = Compress(huge_file, row.kind);
    const UniqueFd file =
        MemoryFile(packed + *ReadFileAt(AT_FDCWD, "/proc/self/fd/" + std::to_string(long_bomb.file.get())));
    const uint64_t size = packed.size() + long_bomb.size;
    RangeSource source(file.get(), 0, size);
    const auto begin = steady_clock::now();
    const auto result = Run(source, {bomb.digest, size, bomb.digest}, row.limits);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(result.error().message(), HasSubstr(row.text));
    EXPECT_LT(steady_clock::now() - begin, fermata::testing::Scaled(std::chrono::seconds(5)));
    ASSERT_TRUE(RemoveTree(layer_.get(), "bomb"));
  }
  EXPECT_LT(Resident(), before + (uint64_t{16} << 20)) << "the daemon holds none of it";
}

TEST_F(HostileByProcess, L06AWindowOverTheLimitIsRefused) {
  // A frame header that asks for a window of 2 GiB (RFC 8878, 3.1.1.1.2), and nothing behind it.
  const std::string frame("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9);
  const UniqueFd file = MemoryFile(frame);
  RangeSource source(file.get(), 0, frame.size());
  const auto result = Run(source, {DigestOf(frame), frame.size(), DigestOf("")});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message(), HasSubstr("window larger than the limit of 128 MiB"));
}

}  // namespace
}  // namespace fermata::overlay::testing
