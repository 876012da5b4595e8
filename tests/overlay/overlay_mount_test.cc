#include "overlay/overlay_mount.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <climits>

#include "overlay/user_lookup.h"
#include "tests/overlay/layer_fixture.h"
#include "tests/overlay/store_fixture.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::HasSubstr;

class OverlayMount : public StoreFixture {
 protected:
  void SetUp() override {
    FERMATA_REQUIRE_ROOT();
    StoreFixture::SetUp();
  }
  static std::string ReadIn(const UniqueFd& root, const std::string& path) {
    const auto fd = OpenInRoot(root.get(), path, O_RDONLY);
    return fd ? *ReadAll(fd->get()) : fd.error().message();
  }
};

TEST_F(OverlayMount, MergesLayersWithWhiteouts) {
  const LayerSpec base{.entries = {File("etc/passwd", "app:x:5:6::/app:\n"), File("gone", "1"), File("dir/old", "1"),
                                   File("dir2/old", "1"), File("same", "base")}};
  const LayerSpec middle{.entries = {File(".wh.gone", ""), File("dir/.wh..wh..opq", ""), File("dir/new", "2")}};
  const LayerSpec top{.entries = {File("same", "top"), File("dir2/new", "3")}};
  const auto images = ImportBytes(OciArchiveOf({{.layers = {base, middle, top}, .name = "a:1"}}));
  ASSERT_TRUE(images) << images.error().message();
  char before[PATH_MAX];
  ASSERT_NE(::getcwd(before, sizeof before), nullptr);
  const auto root = store_->OpenRoot(*images->front());
  ASSERT_TRUE(root) << root.error().message();
  char after[PATH_MAX];
  ASSERT_NE(::getcwd(after, sizeof after), nullptr);
  EXPECT_STREQ(before, after);
  EXPECT_EQ(ReadIn(*root, "same"), "top");
  EXPECT_EQ(ReadIn(*root, "dir/new"), "2");
  EXPECT_EQ(ReadIn(*root, "dir2/old"), "1");
  EXPECT_EQ(ReadIn(*root, "dir2/new"), "3");
  EXPECT_THAT(ReadIn(*root, "gone"), HasSubstr("No such file"));
  EXPECT_THAT(ReadIn(*root, "dir/old"), HasSubstr("No such file"));
  EXPECT_EQ(LookupUser(root->get(), "app")->uid, 5U);
  EXPECT_EQ(OpenAt(root->get(), "x", O_WRONLY | O_CREAT, 0600).error().saved_errno(), EROFS);
  EXPECT_TRUE(store_->OpenRoot(*images->front())) << "from the cache";
  ASSERT_TRUE(store_->Remove("a:1"));
  EXPECT_EQ(store_->OpenRoot(*images->front()).error().code(), ErrorCode::kNotFound);
}

TEST_F(OverlayMount, OneLayerIsReadOnlyToo) {
  const ImagePtr image = ImportSimple("a:1");
  const auto root = store_->OpenRoot(*image);
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_EQ(ReadIn(*root, "etc/base"), "base");
  EXPECT_EQ(OpenAt(root->get(), "x", O_WRONLY | O_CREAT, 0600).error().saved_errno(), EROFS);
}

TEST_F(OverlayMount, TakesAsManyLayersAsAnImageMayHave) {
  if (!LowerdirAppendSupported(dir_.path())) GTEST_SKIP() << "this kernel has no lowerdir+";
  std::vector<std::string> names;
  for (size_t i = 0; i < kMaxLayers; ++i) names.push_back(std::string("t").append(std::to_string(i)));
  const ImagePtr image = ImportSimple("a:1", names);
  ASSERT_NE(image, nullptr);
  const auto root = store_->OpenRoot(*image);
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_EQ(ReadIn(*root, "etc/t0"), "t0");
  EXPECT_EQ(ReadIn(*root, "etc/t126"), "t126");
}

TEST_F(OverlayMount, LeavesNoMountBehind) {
  const auto mounts = [] { return *ReadFileAt(AT_FDCWD, "/proc/self/mountinfo"); };
  const std::string before = mounts();
  const auto root = store_->OpenRoot(*ImportSimple("a:1", {"one", "two"}));
  ASSERT_TRUE(root);
  EXPECT_EQ(mounts(), before);
}

TEST_F(OverlayMount, TheProbeLeavesNothing) {
  const bool supported = LowerdirAppendSupported(dir_.path());
  EXPECT_EQ(ListDirectory(dir_.fd())->size(), 1U) << "data, from the fixture";
  EXPECT_EQ(supported, LowerdirAppendSupported(dir_.path()));
  EXPECT_FALSE(LowerdirAppendSupported("/nonexistent"));
}

// What the launch code does with a snapshot, once with real mount calls.
TEST_F(OverlayMount, ASnapshotCanBeMountedAndShowsTheRootOfItsTopLayer) {
  const auto images = ImportBytes(
      OciArchiveOf({{.layers = {{.entries = {File("a", "1")}}, {.entries = {OwnedBy(Directory("./", 0750), 11, 12)}}},
                     .name = "a:1"}}));
  ASSERT_TRUE(images);
  const auto snapshot = store_->CreateSnapshot(std::string(64, 'e'), *images->front());
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  const UniqueFd context(::fsopen("overlay", FSOPEN_CLOEXEC));
  ASSERT_TRUE(context.valid());
  const auto set = [&](const char* key, const std::string& value) {
    return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0);
  };
  const std::string lower = snapshot->layers_dir + "/" + snapshot->layers.lower[0] + ":" + snapshot->layers_dir + "/" +
                            snapshot->layers.lower[1];
  ASSERT_EQ(set("lowerdir", lower), 0);
  ASSERT_EQ(set("upperdir", snapshot->upper), 0);
  ASSERT_EQ(set("workdir", snapshot->work), 0);
  ASSERT_EQ(::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), 0);
  const UniqueFd root(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
  ASSERT_TRUE(root.valid());
  struct stat status {};
  ASSERT_EQ(::fstat(root.get(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0750U);
  EXPECT_EQ(status.st_uid, 11U);
  EXPECT_EQ(status.st_gid, 12U);
  EXPECT_EQ(ReadIn(root, "a"), "1");
  EXPECT_TRUE(WriteFileAtomic(root.get(), "new", "written"));
}

}  // namespace
}  // namespace fermata::overlay::testing
