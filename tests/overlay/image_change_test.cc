// Names of images, damage that is found and healed, and archives that images come out of as they went in.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "overlay/deflate.h"
#include "overlay/image/archive.h"
#include "overlay/image/image_export.h"
#include "overlay/inflate.h"
#include "overlay/tree_checksum.h"
#include "tests/fixtures/temporary.h"
#include "tests/overlay/store_fixture.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ImageChange : public StoreFixture {
 protected:
  [[nodiscard]] std::string LayerPath(const std::string& rest) const {
    return dir_.path() + "/data/layers/" + Files("layers").front() + "/" + rest;
  }
  Result<std::string> Export(const std::vector<std::string>& names) {
    std::string archive;
    RETURN_IF_ERROR(ExportImages(*store_, names, [&](std::string_view data) -> Result<> {
      archive.append(data);
      return {};
    }));
    return archive;
  }
  std::vector<DamagedLayer> Verify(const std::string& name = "") {
    auto damaged = store_->Verify(name, *cancellation_);
    EXPECT_OK(damaged);
    return damaged ? *damaged : std::vector<DamagedLayer>{};
  }

  std::unique_ptr<Cancellation> cancellation_ = Cancellation::Make().value();
};

TEST_F(ImageChange, ATagIsOneMoreNameAndMovesAway) {
  const ImagePtr one = ImportSimple("localhost/one:1", {"base"});
  const ImagePtr two = ImportSimple("localhost/two:1", {"other"});
  ASSERT_OK(store_->Tag("localhost/one:1", "localhost/new"));
  EXPECT_EQ(store_->Find("localhost/new:latest")->id, one->id);
  ASSERT_OK(store_->Tag(two->id, "localhost/new:latest"));
  Reopen();
  EXPECT_EQ(store_->Find("localhost/new:latest")->id, two->id);
  EXPECT_THAT(store_->Find("localhost/one:1")->repo_tags, ElementsAre("localhost/one:1"));
  EXPECT_EQ(store_->Tag("localhost/none", "localhost/x").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store_->Tag("localhost/one:1", "UPPER CASE").error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->Tag("localhost/one:1", "a@" + one->id).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(ImageChange, WithTheLastTagTheImageGoes) {
  const ImagePtr image = ImportSimple("localhost/one:1");
  ASSERT_OK(store_->Tag("localhost/one:1", "localhost/two:1"));
  EXPECT_EQ(store_->RemoveName(image->id).error().code(), ErrorCode::kFailedPrecondition);
  auto removed = store_->RemoveName("localhost/one:1");
  ASSERT_OK(removed);
  EXPECT_FALSE(removed->image_removed);
  EXPECT_THAT(store_->Find(image->id)->repo_tags, ElementsAre("localhost/two:1"));
  EXPECT_THAT(store_->Find(image->id)->repo_digests, IsEmpty()) << "no tag of their repository is left";
  Reopen();
  EXPECT_EQ(store_->Find("localhost/one:1"), nullptr);
  removed = store_->RemoveName("localhost/two:1");
  ASSERT_OK(removed);
  EXPECT_TRUE(removed->image_removed);
  ExpectEmpty();
  EXPECT_EQ(store_->RemoveName("localhost/two:1").error().code(), ErrorCode::kNotFound);
}

TEST_F(ImageChange, WhatTheDiskDamagedIsFound) {
  const ImagePtr image = ImportSimple("localhost/one:1");
  EXPECT_THAT(Verify(), IsEmpty());
  const std::string file = LayerPath("etc/base");
  const auto fd = OpenAt(AT_FDCWD, file, O_WRONLY);
  ASSERT_OK(fd);
  struct stat before {};
  ASSERT_EQ(::fstat(fd->get(), &before), 0);
  ASSERT_EQ(::pwrite(fd->get(), "B", 1, 0), 1);
  const timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::futimens(fd->get(), times), 0) << "as a disk does it: nothing but the content";
  const auto damaged = Verify("localhost/one:1");
  ASSERT_THAT(damaged, SizeIs(1));
  EXPECT_EQ(damaged[0].image_id, image->id);
  EXPECT_EQ(damaged[0].diff_id, image->config.diff_ids[0]);
  EXPECT_EQ(store_->Verify("localhost/none", *cancellation_).error().code(), ErrorCode::kNotFound);
}

TEST_F(ImageChange, EveryKindOfDamageIsFound) {
  const std::vector<std::pair<const char*, std::function<void(const std::string&)>>> kinds = {
      {"mode", [](const std::string& file) { EXPECT_EQ(::chmod(file.c_str(), 04755), 0); }},
      {"missing", [](const std::string& file) { EXPECT_EQ(::unlink(file.c_str()), 0); }},
      {"new", [](const std::string& file) { EXPECT_EQ(::mkdir((file + ".d").c_str(), 0755), 0); }},
      {"renamed", [](const std::string& file) { EXPECT_EQ(::rename(file.c_str(), (file + "2").c_str()), 0); }},
      {"longer", [](const std::string& file) { EXPECT_EQ(::truncate(file.c_str(), 1 << 20), 0); }},
  };
  for (const auto& [name, damage] : kinds) {
    SCOPED_TRACE(name);
    ImportSimple("localhost/one:1");
    EXPECT_THAT(Verify(), IsEmpty());
    damage(LayerPath("etc/base"));
    EXPECT_THAT(Verify(), SizeIs(1));
    ASSERT_OK(store_->Remove("localhost/one:1"));
  }
}

TEST_F(ImageChange, ARepairedLayerIsWholeAgain) {
  ImageSpec spec{.layers = {{.entries = {File("etc/base", "base")}}}, .name = "localhost/one:1"};
  const std::string archive = OciArchiveOf({spec});
  const auto images = ImportBytes(archive);
  ASSERT_OK(images);
  const Image& image = *images->front();
  ASSERT_EQ(::unlink(LayerPath("etc/base").c_str()), 0);
  ASSERT_THAT(Verify(), SizeIs(1));
  const UniqueFd file = MemoryFile(archive);
  std::shared_ptr<ImageArchive> blobs = ImageArchive::Open(file.get(), dir_.fd(), "").value();
  ASSERT_OK(store_->Repair(image, image.config.diff_ids[0], blobs, *cancellation_));
  EXPECT_THAT(Verify(), IsEmpty());
  EXPECT_THAT(Files("staging"), IsEmpty());
  Reopen();
  EXPECT_THAT(Verify(), IsEmpty());
}

TEST_F(ImageChange, ALayerThatAContainerUsesIsNotReplaced) {
  ImageSpec spec{.layers = {{.entries = {File("etc/base", "base")}}}, .name = "localhost/one:1"};
  const std::string archive = OciArchiveOf({spec});
  const Image& image = *ImportBytes(archive).value().front();
  ASSERT_OK(store_->CreateSnapshot(std::string(64, 'a'), image));
  const UniqueFd file = MemoryFile(archive);
  std::shared_ptr<ImageArchive> blobs = ImageArchive::Open(file.get(), dir_.fd(), "").value();
  const auto repaired = store_->Repair(image, image.config.diff_ids[0], blobs, *cancellation_);
  ASSERT_FALSE(repaired);
  EXPECT_EQ(repaired.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_THAT(repaired.error().message(), HasSubstr("a container uses it"));
}

// All that tars of layers have, in the forms in which tools write it.
std::vector<TarEntry> ManyKinds() {
  TarEntry sparse = File("sparse", "end of it");
  sparse.hole_bytes = 3 << 20;
  TarEntry attributes = File("attributes", "text");
  attributes.xattrs = {{"user.one", std::string("a\0b", 3)}};
  return {Directory("etc"),
          File("etc/empty", ""),
          File("etc/block", std::string(512, 'x')),
          File("etc/large", std::string(9 << 20, 'y')),
          File("etc/" + std::string(200, 'n'), "a long name"),
          HardLink("etc/again", "etc/large"),
          Symlink("link", "etc/large"),
          File("etc/.wh.gone", ""),
          Directory("opaque"),
          File("opaque/.wh..wh..opq", ""),
          sparse,
          attributes,
          File("./dotted/./plain", "cleaned"),
          OwnedBy(File("etc/own", "mine"), 3'000'000, 7)};
}

TEST_F(ImageChange, AnExportedImageKeepsItsId) {
  for (const Compression compression : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    ImageSpec spec{.layers = {{.entries = ManyKinds(), .compression = compression}}, .name = "localhost/many:1"};
    spec.layers.push_back({.entries = {File("top", "top")}, .compression = compression});
    spec.layers.back().tar = TarOf({File("top", "top")}) + std::string(20480, '\0');  // padded, as tar(1) does it
    const auto images = ImportBytes(OciArchiveOf({spec}));
    ASSERT_OK(images);
    const std::string id = images->front()->id;
    const auto archive = Export({"localhost/many:1"});
    ASSERT_OK(archive);
    EXPECT_EQ(*Export({id}), *archive) << "the same again";
    ASSERT_OK(store_->Remove(id));
    ExpectEmpty();
    const auto again = ImportBytes(*archive);
    ASSERT_OK(again);
    EXPECT_EQ(again->front()->id, id);
    EXPECT_THAT(again->front()->repo_tags, ElementsAre("localhost/many:1"));
    EXPECT_THAT(Verify(), IsEmpty());
    ASSERT_OK(store_->Remove(id));
  }
}

TEST_F(ImageChange, SeveralImagesShareTheirLayersInAnArchive) {
  ImageSpec one{.layers = {{.entries = {File("base", std::string(100000, 'b'))}}, {.entries = {File("one", "1")}}}};
  ImageSpec two = one;
  one.name = "localhost/one:1";
  two.name = "localhost/two:1";
  two.layers[1].entries = {File("two", "2")};
  ASSERT_OK(ImportBytes(OciArchiveOf({one, two})));
  const auto archive = Export({"localhost/one:1", "localhost/two:1"});
  ASSERT_OK(archive);
  EXPECT_LT(archive->size(), 150000U);
  EXPECT_EQ(ImportBytes(*archive).value().size(), 2U);
}

TEST_F(ImageChange, DamageIsNotExported) {
  ImportSimple("localhost/one:1");
  const auto fd = OpenAt(AT_FDCWD, LayerPath("etc/base"), O_WRONLY);
  ASSERT_OK(fd);
  ASSERT_EQ(::pwrite(fd->get(), "B", 1, 0), 1);
  const auto archive = Export({"localhost/one:1"});
  ASSERT_FALSE(archive);
  EXPECT_EQ(archive.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(archive.error().message(), HasSubstr("image verify --repair"));
  EXPECT_EQ(Export({"localhost/none"}).error().code(), ErrorCode::kNotFound);
}

TEST_F(ImageChange, AFileThatALayerHasTwiceCannotBeExported) {
  ImageSpec spec{.layers = {{.entries = {File("twice", "first"), File("twice", "second, longer")}}},
                 .name = "localhost/twice:1"};
  ASSERT_OK(ImportBytes(OciArchiveOf({spec})));
  const auto archive = Export({"localhost/twice:1"});
  ASSERT_FALSE(archive);
  EXPECT_THAT(archive.error().message(), HasSubstr("twice"));
}

TEST(Deflate, WhatIsCompressedIsWhatWasGiven) {
  for (const size_t size : {0UL, 1UL, 262144UL, 3000001UL}) {
    std::string data(size, '\0');
    for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>(i * i >> 7);
    const UniqueFd from = MemoryFile(data);
    const UniqueFd to = MemoryFile("");
    FdSource source(from.get());
    ASSERT_OK(WriteGzip(source, to.get()));
    ASSERT_EQ(::lseek(to.get(), 0, SEEK_SET), 0);
    FdSource packed(to.get());
    const auto inflated = Inflate(packed, {});
    ASSERT_OK(inflated);
    EXPECT_EQ(ReadToEnd(**inflated, size + 1).value(), data);
  }
}

TEST(TreeChecksum, HolesAndZerosAreTheSame) {
  const TempDir dir;
  for (const char* const name : {"a", "b"}) ASSERT_OK(MakeDirectories(dir.fd(), name));
  const std::string zeros(5 << 20, '\0');
  ASSERT_OK(WriteFileAtomic(dir.fd(), "a/file", zeros));
  ASSERT_OK(WriteFileAtomic(dir.fd(), "b/file", ""));
  ASSERT_EQ(::truncate((dir.path() + "/b/file").c_str(), static_cast<off_t>(zeros.size())), 0);
  const timespec times[2] = {};
  for (const char* const name : {"/a/file", "/b/file"}) {
    ASSERT_EQ(::utimensat(AT_FDCWD, (dir.path() + name).c_str(), times, 0), 0);
  }
  const auto one = ChecksumTree(dir.fd(), "a");
  const auto other = ChecksumTree(dir.fd(), "b");
  ASSERT_OK(one);
  ASSERT_OK(other);
  EXPECT_EQ(*one, *other);
}

}  // namespace
}  // namespace fermata::overlay::testing
