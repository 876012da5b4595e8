#include "overlay/inflate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/overlay/image_builder.h"

namespace fermata::overlay {
namespace {

using testing::Compress;
using testing::Compression;
using ::testing::HasSubstr;

// Gives its bytes in small pieces, to meet every border of the decoders.
class Pieces : public ByteSource {
 public:
  Pieces(std::string data, size_t piece) : data_(std::move(data)), piece_(piece) {}
  Result<size_t> Read(std::span<char> buffer) override {
    const size_t count = std::min({piece_, buffer.size(), data_.size() - position_});
    data_.copy(buffer.data(), count, position_);
    position_ += count;
    return count;
  }

 private:
  std::string data_;
  size_t piece_;
  size_t position_ = 0;
};

Result<std::string> InflateAll(const std::string& packed, size_t piece = 7, const InflateLimits& limits = {}) {
  Pieces source(packed, piece);
  ASSIGN_OR_RETURN(const auto inflated, Inflate(source, limits));
  return ReadToEnd(*inflated, uint64_t{1} << 30);
}

std::string SomeData(size_t size) {
  std::string data;
  for (uint32_t x = 1; data.size() < size; x = x * 1664525 + 1013904223) data += static_cast<char>(x >> 28);
  return data;
}

TEST(Inflate, GivesBackWhatWasPacked) {
  for (const Compression kind : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    for (const size_t size : {0, 1, 3, 1000, 300'000}) {
      const std::string data = SomeData(size);
      for (const size_t piece : {1, 13, 1 << 20}) {
        const auto inflated = InflateAll(Compress(data, kind), piece);
        ASSERT_TRUE(inflated) << inflated.error().message();
        EXPECT_TRUE(*inflated == data) << size << " bytes in pieces of " << piece;
      }
    }
  }
}

TEST(Inflate, JoinsMembersAndFrames) {
  for (const Compression kind : {Compression::kGzip, Compression::kZstd}) {
    const std::string packed = Compress("one", kind) + Compress("", kind) + Compress(SomeData(70'000), kind);
    EXPECT_EQ(*InflateAll(packed), "one" + SomeData(70'000));
  }
  EXPECT_EQ(*InflateAll(Compress("one", Compression::kGzip) + std::string(500, '\0')), "one") << "padding";
}

TEST(Inflate, RefusesWhatIsCutShortDamagedOrFollowedByOtherThings) {
  for (const Compression kind : {Compression::kGzip, Compression::kZstd}) {
    const std::string packed = Compress(SomeData(50'000), kind);
    for (const size_t keep : {size_t{5}, size_t{20}, packed.size() / 2, packed.size() - 1}) {
      const auto cut = InflateAll(packed.substr(0, keep));
      ASSERT_FALSE(cut) << keep;
      EXPECT_EQ(cut.error().code(), ErrorCode::kInvalidArgument);
    }
    EXPECT_FALSE(InflateAll(packed + "tail"));
  }
  std::string damaged = Compress(SomeData(50'000), Compression::kGzip);
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x10);
  EXPECT_FALSE(InflateAll(damaged));
  std::string checksum = Compress(SomeData(50'000), Compression::kGzip);
  checksum[checksum.size() - 6] = static_cast<char>(checksum[checksum.size() - 6] ^ 1);
  EXPECT_THAT(InflateAll(checksum).error().message(), HasSubstr("checksum"));
}

// gzip with the flag FHCRC: ISA-L counts wrongly when it gets the header in pieces.
TEST(Inflate, AHeaderWithAChecksumIsReadInAnyPieces) {
  std::string packed = Compress("text", Compression::kGzip);
  packed[3] = static_cast<char>(packed[3] | 2);
  uint32_t crc = ~0U;
  for (const char c : packed.substr(0, 10)) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xedb88320U & (0U - (crc & 1)));
  }
  const std::string good = {static_cast<char>(~crc), static_cast<char>(~crc >> 8)};
  for (const size_t piece : {1, 5, 11, 1 << 20}) {
    const auto inflated = InflateAll(std::string(packed).insert(10, good), piece);
    ASSERT_TRUE(inflated) << piece << ": " << inflated.error().message();
    EXPECT_EQ(*inflated, "text");
    EXPECT_FALSE(InflateAll(std::string(packed).insert(10, "\x01\x02"), piece)) << piece;
  }
}

TEST(Inflate, AZstdFrameThatIsShorterThanItSaysIsRefusedInAnyPieces) {
  // One segment that says 248 bytes, and an empty block, the last.
  const std::string packed("\x28\xb5\x2f\xfd\x20\xf8\x01\x00\x00", 9);
  for (const size_t piece : {1, 2, 5, 100}) {
    EXPECT_FALSE(InflateAll(packed, piece)) << piece;
    EXPECT_FALSE(InflateAll(Compress("text", Compression::kZstd) + packed, piece)) << piece;
  }
}

TEST(Inflate, StopsBombs) {
  const std::string zeros(8 << 20, '\0');
  const auto too_much = InflateAll(Compress(zeros, Compression::kZstd), 4096, {.max_output_bytes = 1 << 20});
  EXPECT_THAT(too_much.error().message(), HasSubstr("limit"));
  const auto too_steep = InflateAll(Compress(zeros, Compression::kZstd), 4096, {.ratio_free_bytes = 1 << 20});
  EXPECT_THAT(too_steep.error().message(), HasSubstr("grows"));
}

}  // namespace
}  // namespace fermata::overlay
