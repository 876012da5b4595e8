// Unpacking as root: owners, set-id bits, devices, attributes.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/overlay/layer_fixture.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class UnpackingAsRoot : public LayerFixture {
 protected:
  void SetUp() override {
    LayerFixture::SetUp();
    FERMATA_REQUIRE_ROOT();
  }
  [[nodiscard]] std::vector<std::string> Attributes(const std::string& path) const {
    char names[4096];
    const std::string whole = dir_.path() + "/layer/" + path;
    const ssize_t size = ::llistxattr(whole.c_str(), names, sizeof names);
    std::vector<std::string> list;
    for (const char* next = names; size > 0 && next < names + size; next += list.back().size() + 1)
      list.emplace_back(next);
    return list;
  }
};

TEST_F(UnpackingAsRoot, SetsOwnersAndSetIdBits) {
  const auto usage = Unpack({OwnedBy(Directory("./"), 7, 8), OwnedBy(File("su", "", 06755), 1000, 2000),
                             OwnedBy(Directory("tmp", 01777), 3, 4), OwnedBy(Symlink("l", "su"), 5, 6),
                             OwnedBy(File("big", ""), 4294967294, 4294967294)});
  ASSERT_TRUE(usage) << usage.error().message();
  EXPECT_EQ(Status(".").st_uid, 7U);
  EXPECT_EQ(Status("su").st_uid, 1000U);
  EXPECT_EQ(Status("su").st_gid, 2000U);
  EXPECT_EQ(Status("su").st_mode & 07777, 06755U);
  EXPECT_EQ(Status("tmp").st_mode & 07777, 01777U);
  EXPECT_EQ(Status("tmp").st_gid, 4U);
  EXPECT_EQ(Status("l").st_uid, 5U);
  EXPECT_EQ(Status("big").st_uid, 4294967294U);
  EXPECT_FALSE(Unpack({OwnedBy(File("x", ""), 4294967295, 0)}));
  EXPECT_FALSE(Unpack({OwnedBy(File("x", ""), 0, int64_t{1} << 40)}));
}

TEST_F(UnpackingAsRoot, AnAttributeThatTheKernelDoesNotTakeIsTheFaultOfTheLayer) {
  TarEntry file = File("a", "x", 0755);
  file.xattrs["security.capability"] = "x";
  const auto unpacked = Unpack({file});
  ASSERT_FALSE(unpacked);
  EXPECT_EQ(unpacked.error().code(), ErrorCode::kInvalidArgument) << unpacked.error().message();
}

TEST_F(UnpackingAsRoot, MakesDevices) {
  ASSERT_TRUE(Unpack({OwnedBy(Node("null", AE_IFCHR, 1, 3, 0666), 9, 9), Node("disk", AE_IFBLK, 8, 1, 0660)}));
  EXPECT_TRUE(S_ISCHR(Status("null").st_mode));
  EXPECT_EQ(Status("null").st_rdev, makedev(1, 3));
  EXPECT_EQ(Status("null").st_mode & 07777, 0666U);
  EXPECT_EQ(Status("null").st_uid, 9U);
  EXPECT_TRUE(S_ISBLK(Status("disk").st_mode));
  EXPECT_EQ(Status("disk").st_rdev, makedev(8, 1));
}

TEST_F(UnpackingAsRoot, KeepsOnlyHarmlessAttributes) {
  const std::string capability("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  TarEntry file = OwnedBy(File("ping", "", 0755), 10, 10);
  file.xattrs = {{"security.capability", capability},
                 {"security.selinux", "x"},
                 {"user.note", "hello"},
                 {"user.overlay.opaque", "y"},
                 {"trusted.overlay.redirect", "/etc"},
                 {"trusted.other", "x"}};
  TarEntry directory = Directory("d");
  directory.xattrs = {{"trusted.overlay.opaque", "y"}, {"user.a", "b"}};
  const auto unpacked = Unpack({file, directory});
  ASSERT_TRUE(unpacked) << unpacked.error().message();
  EXPECT_THAT(Attributes("ping"), ::testing::UnorderedElementsAre("security.capability", "user.note"));
  EXPECT_THAT(Attributes("d"), ElementsAre("user.a"));
}

TEST_F(UnpackingAsRoot, MarksOpaqueDirectories) {
  ASSERT_TRUE(Unpack({Directory("d"), File("d/.wh..wh..opq", ""), File(".wh.e", ""), Directory("e"), Directory("f"),
                      File(".wh.f", ""), File("g/.wh..wh..opq", ""), Directory("h")}));
  for (const char* opaque : {"d", "e", "f", "g"})
    EXPECT_THAT(Attributes(opaque), ElementsAre("trusted.overlay.opaque")) << opaque;
  EXPECT_THAT(Attributes("h"), IsEmpty());
}

TEST_F(UnpackingAsRoot, AFullDiskIsResourceExhaustedAndLeavesNothing) {
  ASSERT_EQ(::mount("tmpfs", (dir_.path() + "/layer").c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=200"),
            0);
  layer_ = OpenAt(dir_.fd(), "layer", O_RDONLY | O_DIRECTORY).value();
  const auto bytes = Unpack({File("big", std::string(4 << 20, 'x'))});
  EXPECT_EQ(bytes.error().code(), ErrorCode::kResourceExhausted) << bytes.error().message();
  std::vector<TarEntry> many;
  for (int i = 0; i < 300; ++i) many.push_back(File(std::string("f").append(std::to_string(i)), ""));
  EXPECT_EQ(Unpack(many).error().code(), ErrorCode::kResourceExhausted);
  layer_.Reset();
  EXPECT_EQ(::umount2((dir_.path() + "/layer").c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace fermata::overlay::testing
