#include "overlay/unpack.h"

#include <gmock/gmock.h>

#include "tests/overlay/layer_fixture.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::HasSubstr;

class Unpacking : public LayerFixture {
 protected:
  void ExpectRefused(const std::vector<TarEntry>& entries, const std::string& text) const {
    const auto unpacked = Unpack(entries);
    ASSERT_FALSE(unpacked) << text;
    EXPECT_EQ(unpacked.error().code(), ErrorCode::kInvalidArgument) << unpacked.error().message();
    EXPECT_THAT(unpacked.error().message(), HasSubstr(text));
  }
};

TEST_F(Unpacking, MakesFilesDirectoriesAndLinks) {
  const auto usage = Unpack({Directory("./", 0711), Directory("etc", 0750), File("etc/a", "alpha", 0640),
                             Symlink("etc/b", "/etc/a"), HardLink("c", "etc/a"), Node("pipe", AE_IFIFO)});
  ASSERT_TRUE(usage) << usage.error().message();
  EXPECT_EQ(Read("etc/a"), "alpha");
  EXPECT_EQ(Status("etc/a").st_mode & 07777, 0640U);
  EXPECT_EQ(Status("etc/a").st_mtime, 1'000'000'000);
  EXPECT_EQ(Status("etc/a").st_nlink, 2U);
  EXPECT_EQ(Status("c").st_ino, Status("etc/a").st_ino);
  EXPECT_EQ(Status("etc").st_mode & 07777, 0750U);
  EXPECT_EQ(Status("etc").st_mtime, 1'000'000'000) << "set after its files were made";
  EXPECT_EQ(Status(".").st_mode & 07777, 0711U);
  EXPECT_TRUE(S_ISLNK(Status("etc/b").st_mode));
  EXPECT_TRUE(S_ISFIFO(Status("pipe").st_mode));
  EXPECT_EQ(usage->inodes, 4U) << "etc, a, b, pipe";
}

TEST_F(Unpacking, MakesMissingParentsAndTheRootOpenToAll) {
  ASSERT_TRUE(Unpack({File("/a/b/c", "x")}));
  EXPECT_EQ(Read("a/b/c"), "x") << "absolute names are inside";
  EXPECT_EQ(Status("a").st_mode & 07777, 0755U);
  EXPECT_EQ(Status("a/b").st_mode & 07777, 0755U);
  EXPECT_EQ(Status(".").st_mode & 07777, 0755U);
}

TEST_F(Unpacking, KeepsNamesThatAreNotAscii) {
  const std::string longer = std::string(200, 'x') + "/\xc3\xa4\xff" + std::string(100, 'y');
  ASSERT_TRUE(
      Unpack({File("\xc3\xa4", "umlaut"), File("\xff", "no text"), File(longer, "long"), Symlink("l", "\xc3\xa4")}));
  EXPECT_EQ(Read("\xc3\xa4"), "umlaut");
  EXPECT_EQ(Read("\xff"), "no text");
  EXPECT_EQ(Read(longer), "long");
  EXPECT_EQ(Read("l"), "umlaut");
}

TEST_F(Unpacking, LaterEntriesReplaceEarlierOnesOfAnyKind) {
  ASSERT_TRUE(
      Unpack({File("a", "1"), File("a", "2"), Directory("d"), File("d/x", ""), File("d", "file"), Symlink("s", "a"),
              Directory("s"), File("s/y", "in s"), Directory("m", 0700), File("m/z", "kept"), Directory("m", 0711)}));
  EXPECT_EQ(Read("a"), "2");
  EXPECT_EQ(Read("d"), "file");
  EXPECT_EQ(Read("s/y"), "in s");
  EXPECT_EQ(Read("m/z"), "kept");
  EXPECT_EQ(Status("m").st_mode & 07777, 0711U);
}

TEST_F(Unpacking, ReadsHoles) {
  TarEntry sparse = File("sparse", "tail");
  sparse.hole_bytes = 1 << 20;
  ASSERT_TRUE(Unpack({sparse}));
  EXPECT_EQ(Status("sparse").st_size, (1 << 20) + 4);
  EXPECT_LT(Status("sparse").st_blocks * 512, 1 << 19);
  EXPECT_EQ(Read("sparse").substr(1 << 20), "tail");
}

TEST_F(Unpacking, TurnsWhiteoutsIntoOverlaysForm) {
  ASSERT_TRUE(Unpack({Directory("d"), File("d/.wh.gone", ""), File("kept", "x"), File(".wh.kept", ""),
                      File(".wh.back", ""), File("back", "again"), File("deep/.wh.x", "")}));
  EXPECT_TRUE(IsWhiteout("d/gone"));
  EXPECT_TRUE(IsWhiteout("deep/x"));
  EXPECT_FALSE(Exists("d/.wh.gone"));
  EXPECT_EQ(Read("kept"), "x") << "a whiteout is about lower layers only";
  EXPECT_EQ(Read("back"), "again");
}

TEST_F(Unpacking, RefusesStrangeWhiteouts) {
  for (const char* name :
       {".wh.", ".wh..", ".wh...", "a/.wh..", ".wh..wh.plnk", ".wh..wh..wh..opq", ".wh..wh.", ".wh./x", "a/.wh.b/c"}) {
    ExpectRefused({File(name, "")}, "whiteout");
  }
  ExpectRefused({Node("n", AE_IFCHR)}, "whiteout device");
}

TEST_F(Unpacking, RefusesNamesThatClimbOut) {
  for (const char* name : {"../outside", "a/../../outside", "/../outside", "..", "a/..", "./../outside"}) {
    ExpectRefused({File(name, "evil")}, "climbs out");
  }
  ExpectRefused({HardLink("a", "../outside")}, "climbs out");
  ExpectRefused({File(".", "a file")}, "not a directory");
  ExpectRefused({Symlink(".", "..")}, "not a directory");
}

TEST_F(Unpacking, LinksInTheWayStayInside) {
  const std::string outside = dir_.path() + "/outside";
  ASSERT_TRUE(Unpack({Directory("etc"), Symlink("abs", "/etc"), File("abs/x", "in etc"), Symlink("up", "../../.."),
                      File("up/y", "at the root"), Symlink("file", outside), File("file", "replaces the link")}));
  EXPECT_EQ(Read("etc/x"), "in etc");
  EXPECT_EQ(Read("y"), "at the root");
  EXPECT_EQ(Read("file"), "replaces the link");
}

TEST_F(Unpacking, LinksThatLeadOutsideLeadNowhere) {
  ExpectRefused({Symlink("out", dir_.path()), File("out/outside", "evil")}, "out/outside");
  ExpectRefused({Symlink("l", dir_.path() + "/outside"), File("l/x", "evil")}, "l/x");
  ExpectRefused({Symlink("loop", "loop"), File("loop/x", "")}, "loop/x");
  ExpectRefused({File("plain", ""), File("plain/x", "")}, "plain/x");
  ExpectRefused({Symlink("dir", ".."), HardLink("h", "dir/outside")}, "does not have");
}

TEST_F(Unpacking, DirectoryMetadataIsNotSetThroughLinks) {
  // The entry that is a directory first and a link later must not hand its mode on.
  ASSERT_TRUE(Unpack({Directory("target", 0700), Directory("d", 0777), Symlink("d", "target")}));
  EXPECT_EQ(Status("target").st_mode & 07777, 0700U);
}

TEST_F(Unpacking, RefusesBadHardLinks) {
  ExpectRefused({HardLink("a", "missing")}, "lower layers");
  ExpectRefused({HardLink("a", dir_.path() + "/outside")}, "does not have");
  ExpectRefused({Directory("d"), HardLink("a", "d")}, "no regular file");
  ExpectRefused({Symlink("s", "/etc/passwd"), HardLink("a", "s")}, "no regular file");
  ExpectRefused({File(".wh.w", ""), HardLink("a", "w")}, "no regular file");
  ASSERT_TRUE(Unpack({File("f", "x"), HardLink("f", "f"), HardLink("g", "/f"), HardLink("g", "f")}));
  EXPECT_EQ(Read("f"), "x") << "a link to itself changes nothing";
}

TEST_F(Unpacking, KeepsToItsLimits) {
  EXPECT_THAT(Unpack({File("a", ""), File("b", ""), File("c", "")}, {.max_entries = 2}).error().message(),
              HasSubstr("entries"));
  EXPECT_THAT(Unpack({File("a", std::string(100'000, 'x'))}, {.max_bytes = 50'000}).error().message(),
              HasSubstr("limit"));
  std::string deep = "d";
  while (deep.size() < 3000) deep += "/d";
  ExpectRefused({File(deep, "")}, "1024 levels");
  ExpectRefused({File(std::string(256, 'x'), "")}, "255 bytes");
  ExpectRefused({File(std::string(5000, '/') + "x", "")}, "4095");
}

TEST_F(Unpacking, ReadsWhatLiesBehindTheEnd) {
  const std::string tar = TarOf({File("a", "1")});
  ASSERT_TRUE(UnpackTarBytes(tar + std::string(100'000, '\0')));
  ASSERT_TRUE(UnpackTarBytes(tar + "anything")) << "the digests cover it";
  ASSERT_TRUE(UnpackTarBytes(std::string(1024, '\0'))) << "an empty layer";
  ASSERT_TRUE(UnpackTarBytes("")) << "an empty layer";
}

TEST_F(Unpacking, RefusesDamagedTars) {
  const std::string tar = TarOf({File("a", std::string(2000, 'x')), File("b", "2")});
  EXPECT_FALSE(UnpackTarBytes(tar.substr(0, 1500))) << "cut in a file";
  EXPECT_FALSE(UnpackTarBytes(tar.substr(0, 300))) << "cut in a header";
  EXPECT_FALSE(UnpackTarBytes("this is no tar at all" + std::string(1000, 'x')));
  std::string damaged = tar;
  damaged[3] = 'X';
  EXPECT_FALSE(UnpackTarBytes(damaged)) << "wrong checksum";
}

TEST_F(Unpacking, ChecksSizeAndBothDigests) {
  const std::string tar = TarOf({File("a", "1")});
  const std::string packed = Compress(tar, Compression::kZstd);
  const LayerBlob right{DigestOf(packed), packed.size(), DigestOf(tar)};
  const auto unpack = [&](const LayerBlob& blob) {
    const UniqueFd file = MemoryFile(packed);
    FdSource source(file.get());
    return UnpackLayer(source, blob, layer_.get(), {});
  };
  EXPECT_TRUE(unpack(right));
  EXPECT_THAT(unpack({DigestOf("x"), right.size_bytes, right.diff_id}).error().message(), HasSubstr("blob digest"));
  EXPECT_THAT(unpack({right.digest, right.size_bytes, DigestOf("x")}).error().message(), HasSubstr("diff id"));
  EXPECT_THAT(unpack({right.digest, right.size_bytes + 1, right.diff_id}).error().message(), HasSubstr("shorter"));
  EXPECT_THAT(unpack({right.digest, right.size_bytes - 1, right.diff_id}).error().message(), HasSubstr("longer"));
}

TEST_F(Unpacking, StopsWhenCancelled) {
  const std::string tar = TarOf({File("a", "1")});
  const UniqueFd file = MemoryFile(tar);
  FdSource source(file.get());
  const std::atomic<bool> cancelled = true;
  const auto unpacked = UnpackLayer(source, {DigestOf(tar), tar.size(), DigestOf(tar)}, layer_.get(), {{}, &cancelled});
  EXPECT_EQ(unpacked.error().code(), ErrorCode::kCancelled);
}

TEST_F(Unpacking, TimeGrowsWithTheEntriesOnly) {
  std::vector<TarEntry> entries;
  for (int i = 0; i < 5000; ++i) entries.push_back(File("d/.wh..wh..opq", ""));
  for (int i = 0; i < 5000; ++i) entries.push_back(File("d/f" + std::to_string(i), ""));
  EXPECT_TRUE(Unpack(entries));
}

}  // namespace
}  // namespace fermata::overlay::testing
