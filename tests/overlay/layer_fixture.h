// LayerFixture: unpacks a tar into the directory `layer` of a temporary directory that also has a file
// `outside` nobody may touch.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "overlay/unpack.h"
#include "tests/overlay/image_builder.h"
#include "tests/overlay/temp_dir.h"

namespace fermata::overlay::testing {

class LayerFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WriteFileAtomic(dir_.fd(), "outside", "canary"));
    ASSERT_EQ(::mkdirat(dir_.fd(), "layer", 0700), 0);
    layer_ = OpenAt(dir_.fd(), "layer", O_RDONLY | O_DIRECTORY).value();
  }
  void TearDown() override {
    EXPECT_EQ(*ReadFileAt(dir_.fd(), "outside"), "canary");
    struct stat status {};
    EXPECT_EQ(::fstatat(dir_.fd(), "outside", &status, 0), 0);
    EXPECT_EQ(status.st_nlink, 1U);
    EXPECT_EQ(ListDirectory(dir_.fd())->size(), 2U) << "nothing was made beside the layer";
  }

  Result<TreeUsage> UnpackTarBytes(const std::string& tar, const LayerLimits& limits = {}) const {
    const std::string packed = Compress(tar, Compression::kGzip);
    const UniqueFd file = MemoryFile(packed);
    FdSource source(file.get());
    ASSIGN_OR_RETURN(const UnpackedLayer unpacked,
                     UnpackLayer(source, {DigestOf(packed), packed.size(), DigestOf(tar)}, layer_.get(), {limits}));
    return unpacked.usage;
  }
  Result<TreeUsage> Unpack(const std::vector<TarEntry>& entries, const LayerLimits& limits = {}) const {
    return UnpackTarBytes(TarOf(entries), limits);
  }
  [[nodiscard]] std::string Read(const std::string& path) const {
    const auto data = ReadFileAt(layer_.get(), path);
    return data ? *data : data.error().message();
  }
  [[nodiscard]] struct stat Status(const std::string& path) const {
    struct stat status {};
    EXPECT_EQ(::fstatat(layer_.get(), path.c_str(), &status, AT_SYMLINK_NOFOLLOW), 0) << path;
    return status;
  }
  [[nodiscard]] bool Exists(const std::string& path) const {
    return ::faccessat(layer_.get(), path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  }
  [[nodiscard]] bool IsWhiteout(const std::string& path) const {
    const struct stat status = Status(path);
    return S_ISCHR(status.st_mode) && status.st_rdev == 0;
  }

  TempDir dir_;
  UniqueFd layer_;
};

// In tests of label root: the reason is printed and counted.
#define FERMATA_REQUIRE_ROOT() \
  if (::geteuid() != 0) GTEST_SKIP() << "needs root"

}  // namespace fermata::overlay::testing
