#include "overlay/image/image_store.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <thread>

#include "tests/overlay/store_fixture.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::string kId(64, 'c');

class Store : public StoreFixture {
 protected:
  [[nodiscard]] std::string Code(std::string_view reference) const {
    const auto image = store_->Get(reference);
    if (image) return (*image)->repo_tags.empty() ? (*image)->id : (*image)->repo_tags.front();
    return image.error().code() == ErrorCode::kNotFound ? "missing" : "invalid";
  }
};

TEST_F(Store, FindsImagesByEveryKindOfName) {
  const ImagePtr image = ImportSimple("quay.io/team/app:1");
  const std::string tag = "quay.io/team/app:1";
  const std::string hex = image->id.substr(7);
  EXPECT_EQ(Code(image->id), tag);
  EXPECT_EQ(Code(hex), tag);
  EXPECT_EQ(Code(hex.substr(0, 12)), tag);
  EXPECT_EQ(Code(hex.substr(0, 1)), tag);
  EXPECT_EQ(Code("sha256:" + hex.substr(0, 12)), tag);
  EXPECT_EQ(Code(tag), tag);
  EXPECT_EQ(Code(image->repo_digests.front()), tag);
  EXPECT_EQ(Code(tag + "@" + image->manifest_digest), tag);
  EXPECT_EQ(Code("quay.io/team/app"), "missing");
  EXPECT_EQ(Code("quay.io/team/app@" + DigestOf("x")), "missing");
  EXPECT_EQ(Code("team/app:1"), "missing");
  EXPECT_EQ(Code(DigestOf("x")), "missing");
  EXPECT_EQ(Code("sha256"), "missing");
  EXPECT_EQ(Code("../.."), "invalid");
  EXPECT_EQ(Code(""), "invalid");
  EXPECT_EQ(store_->Find("nothing"), nullptr);
  EXPECT_THAT(store_->Get("nothing").error().message(), HasSubstr("fermata image import"));
}

TEST_F(Store, ShortNamesAreNormalised) {
  ASSERT_NE(ImportSimple("docker.io/library/busybox:latest"), nullptr);
  for (const char* name :
       {"busybox", "busybox:latest", "library/busybox", "docker.io/busybox", "index.docker.io/busybox"}) {
    EXPECT_EQ(Code(name), "docker.io/library/busybox:latest") << name;
  }
}

TEST_F(Store, NamesComeBeforePrefixesAndTwoPrefixesAreAnError) {
  std::map<char, std::vector<std::string>> by_first;
  for (int i = 0; by_first.size() == static_cast<size_t>(i); ++i) {  // until two ids begin alike
    const ImagePtr image = ImportSimple("app:" + std::to_string(i), {"text" + std::to_string(i)});
    by_first[image->id[7]].push_back(image->id);
  }
  for (const auto& [first, ids] : by_first) {
    if (ids.size() < 2) continue;
    const auto found = store_->Get(std::string(1, first));
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(found.error().message(), HasSubstr(ids[0]));
    EXPECT_THAT(found.error().message(), HasSubstr(ids[1]));
    EXPECT_EQ(store_->Find(std::string(1, first)), nullptr);
    const ImagePtr named = ImportSimple(std::string(1, first) + ":latest", {"named"});
    EXPECT_EQ(store_->Find(std::string(1, first)), named);
  }
}

TEST_F(Store, TagsMoveToTheNewImage) {
  const ImagePtr old = ImportSimple("app:1", {"one"});
  const ImagePtr fresh = ImportSimple("app:1", {"two"});
  ASSERT_NE(old->id, fresh->id);
  EXPECT_EQ(store_->Find("app:1")->id, fresh->id);
  EXPECT_THAT(store_->Find(old->id)->repo_tags, IsEmpty());
  EXPECT_THAT(store_->Find(old->id)->repo_digests, SizeIs(1));
  Reopen();
  EXPECT_EQ(store_->Find("app:1")->id, fresh->id);
  EXPECT_THAT(store_->Find(old->id)->repo_tags, IsEmpty());
}

TEST_F(Store, EverythingSurvivesARestart) {
  const ImagePtr before = ImportSimple("app:1", {"one", "two"});
  ASSERT_TRUE(store_->CreateSnapshot(kId, *before));
  const FsUsage usage = *store_->Usage();
  Reopen();
  EXPECT_THAT(store_->problems(), IsEmpty());
  const ImagePtr after = store_->Find("app:1");
  ASSERT_NE(after, nullptr);
  EXPECT_EQ(after->id, before->id);
  EXPECT_EQ(after->layers, before->layers);
  EXPECT_EQ(after->size_bytes, before->size_bytes);
  EXPECT_EQ(after->created_at_ns, before->created_at_ns);
  EXPECT_EQ(after->config_json, before->config_json);
  EXPECT_EQ(after->repo_digests, before->repo_digests);
  EXPECT_THAT(store_->ListSnapshots(), ElementsAre(kId));
  EXPECT_EQ(store_->Usage()->images.bytes, usage.images.bytes);
  EXPECT_EQ(store_->Usage()->images.inodes, usage.images.inodes);
}

TEST_F(Store, RemovingForgetsAllNamesAndDeletesUnsharedLayers) {
  const ImagePtr first = ImportSimple("a:1", {"base", "one"});
  (void)ImportSimple("a:2", {"base", "one"});
  (void)ImportSimple("b:1", {"base", "two"});
  EXPECT_THAT(Files("layers"), SizeIs(3));
  ASSERT_TRUE(store_->Remove("a:1"));
  EXPECT_EQ(store_->Find("a:2"), nullptr) << "the image goes with all its names";
  EXPECT_EQ(store_->Find(first->id), nullptr);
  EXPECT_THAT(Files("layers"), SizeIs(2));
  EXPECT_THAT(Files("blobs/sha256"), SizeIs(2));
  EXPECT_TRUE(store_->Remove("a:1")) << "is gone already";
  EXPECT_TRUE(store_->Remove(DigestOf("never was")));
  EXPECT_FALSE(store_->Remove("../.."));
  ASSERT_TRUE(store_->Remove("b:1"));
  ExpectEmpty();
  EXPECT_EQ(store_->Usage()->images.bytes, store_->Usage()->images.inodes * 4096) << "only empty directories";
}

TEST_F(Store, ASnapshotKeepsItsLayersUntilItIsRemoved) {
  const ImagePtr image = ImportSimple("a:1", {"base", "top"});
  const auto snapshot = store_->CreateSnapshot(kId, *image);
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_THAT(snapshot->layers.lower, ElementsAre(image->layers[1], image->layers[0])) << "top first";
  EXPECT_TRUE(OpenAt(AT_FDCWD, snapshot->upper, O_RDONLY | O_DIRECTORY));
  EXPECT_TRUE(OpenAt(AT_FDCWD, snapshot->work, O_RDONLY | O_DIRECTORY));
  EXPECT_TRUE(OpenAt(AT_FDCWD, snapshot->layers_dir + "/" + snapshot->layers.lower[0], O_RDONLY | O_DIRECTORY));
  ASSERT_TRUE(store_->Remove("a:1"));
  EXPECT_THAT(Files("layers"), SizeIs(2));
  Reopen();
  EXPECT_THAT(Files("layers"), SizeIs(2)) << "also after a restart";
  EXPECT_EQ(store_->GetSnapshot(kId)->layers.lower, snapshot->layers.lower);
  ASSERT_TRUE(store_->RemoveSnapshot(kId));
  EXPECT_TRUE(store_->RemoveSnapshot(kId)) << "is gone already";
  ExpectEmpty();
}

TEST_F(Store, ASnapshotKeepsTheLayersOfItsVolumesToo) {
  const ImagePtr image = ImportSimple("a:1", {"base"});
  const ImagePtr volume = ImportSimple("b:1", {"data", "more"});
  const auto snapshot = store_->CreateSnapshot(kId, *image, std::vector{volume, volume});
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  const LayerNames names = {volume->layers[1], volume->layers[0]};
  EXPECT_THAT(snapshot->layers.volumes, ElementsAre(names, names));
  ASSERT_TRUE(store_->Remove("b:1"));
  EXPECT_THAT(Files("layers"), SizeIs(3));
  Reopen();
  EXPECT_THAT(store_->GetSnapshot(kId)->layers.volumes, ElementsAre(names, names)) << "also after a restart";
  const std::string other(64, 'f');
  EXPECT_EQ(store_->CreateSnapshot(other, *store_->Find("a:1"), std::vector{volume}).error().code(),
            ErrorCode::kNotFound)
      << "of an image that is gone";
  ASSERT_TRUE(store_->RemoveSnapshot(kId));
  EXPECT_THAT(Files("layers"), SizeIs(1));
  ASSERT_TRUE(store_->Remove("a:1"));
  ExpectEmpty();
}

TEST_F(Store, SnapshotsHaveTheRootOfTheTopLayer) {
  const auto images = ImportBytes(OciArchiveOf(
      {{.layers = {{.entries = {Directory("./", 0700)}}, {.entries = {Directory("./", 0751)}}}, .name = "a:1"}}));
  ASSERT_TRUE(images);
  const auto snapshot = store_->CreateSnapshot(kId, *images->front());
  struct stat status {};
  ASSERT_EQ(::stat(snapshot->upper.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0751U);
}

TEST_F(Store, RefusesBadSnapshots) {
  const ImagePtr image = ImportSimple("a:1");
  EXPECT_EQ(store_->CreateSnapshot("../x", *image).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->CreateSnapshot(std::string(64, 'G'), *image).error().code(), ErrorCode::kInvalidArgument);
  ASSERT_TRUE(store_->CreateSnapshot(kId, *image));
  EXPECT_EQ(store_->CreateSnapshot(kId, *image).error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(store_->GetSnapshot(std::string(64, 'd')).error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(store_->RemoveSnapshot(kId));
  EXPECT_TRUE(store_->RemoveSnapshot("../layers"));
  ASSERT_TRUE(store_->Remove("a:1"));
  EXPECT_EQ(store_->CreateSnapshot(kId, *image).error().code(), ErrorCode::kNotFound) << "from a stale image";
  ExpectEmpty();
}

TEST_F(Store, NumbersOfDeletedLayersAreUsedAgain) {
  const ImagePtr first = ImportSimple("a:1", {"one"});
  ASSERT_TRUE(store_->Remove("a:1"));
  const ImagePtr second = ImportSimple("a:1", {"two"});
  EXPECT_EQ(first->layers, second->layers);
  EXPECT_EQ(store_->CreateSnapshot(kId, *first).error().code(), ErrorCode::kNotFound) << "not the other one's layers";
}

TEST_F(Store, CountsWhatSnapshotsHold) {
  const auto snapshot = store_->CreateSnapshot(kId, *ImportSimple("a:1"));
  const TreeUsage before = *store_->SnapshotUsage(kId);
  const auto upper = OpenAt(AT_FDCWD, snapshot->upper, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(WriteFileAtomic(upper->get(), "big", std::string(1 << 20, 'x')));
  ASSERT_EQ(::linkat(upper->get(), "big", upper->get(), "same", 0), 0);
  const TreeUsage after = *store_->SnapshotUsage(kId);
  EXPECT_EQ(after.inodes, before.inodes + 1);
  EXPECT_GE(after.bytes, before.bytes + (1 << 20));
  EXPECT_LT(after.bytes, before.bytes + (2 << 20));
  EXPECT_GE(store_->Usage()->snapshots.bytes, after.bytes);
}

TEST_F(Store, OpenSweepsWhatACrashLeft) {
  const ImagePtr image = ImportSimple("a:1");
  store_.reset();
  for (const char* junk : {"data/staging/x/y", "data/layers/zz/etc", "data/layers/9"}) {
    ASSERT_TRUE(MakeDirectories(dir_.fd(), junk));
  }
  ASSERT_TRUE(OpenAt(dir_.fd(), "data/blobs/sha256/" + std::string(64, '0'), O_WRONLY | O_CREAT, 0600));
  Reopen();
  EXPECT_THAT(Files("staging"), IsEmpty());
  EXPECT_EQ(Files("layers"), image->layers);
  EXPECT_THAT(Files("blobs/sha256"), SizeIs(2));
}

TEST_F(Store, ADamagedImageIsReportedAndHealedByAnImport) {
  const ImagePtr image = ImportSimple("a:1", {"one"});
  ASSERT_NE(ImportSimple("b:1", {"two"}), nullptr);
  store_.reset();
  const auto blobs = OpenAt(dir_.fd(), "data/blobs/sha256", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(WriteFileAtomic(blobs->get(), image->id.substr(7), "{}"));
  Reopen();
  EXPECT_THAT(store_->problems(), ElementsAre(HasSubstr(image->id)));
  EXPECT_EQ(store_->Find("a:1"), nullptr);
  EXPECT_NE(store_->Find("b:1"), nullptr);
  EXPECT_THAT(Files("layers"), SizeIs(2)) << "nothing is deleted behind its back";
  ASSERT_NE(ImportSimple("a:1", {"one"}), nullptr);
  Reopen();
  EXPECT_THAT(store_->problems(), IsEmpty());
  EXPECT_NE(store_->Find("a:1"), nullptr);
}

TEST_F(Store, ADamagedImageCanBeRemoved) {
  const ImagePtr image = ImportSimple("a:1");
  store_.reset();
  ASSERT_TRUE(RemoveTree(dir_.fd(), "data/blobs/sha256/" + image->id.substr(7)));
  Reopen();
  EXPECT_THAT(store_->problems(), SizeIs(1));
  ASSERT_TRUE(store_->Remove(image->id));
  ExpectEmpty();
  Reopen();
  EXPECT_THAT(store_->problems(), IsEmpty());
}

TEST_F(Store, ALostLayerIsReportedAndUnpackedAgain) {
  const ImagePtr image = ImportSimple("a:1", {"one", "two"});
  ASSERT_TRUE(store_->CreateSnapshot(kId, *image));
  store_.reset();
  ASSERT_TRUE(RemoveTree(dir_.fd(), "data/layers/" + image->layers[0]));
  Reopen();
  EXPECT_THAT(store_->problems(), SizeIs(3)) << "layer, snapshot, image";
  EXPECT_THAT(store_->ListSnapshots(), ElementsAre(kId)) << "for the sweep";
  EXPECT_EQ(store_->GetSnapshot(kId).error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_TRUE(store_->RemoveSnapshot(kId));
  ASSERT_NE(ImportSimple("a:1", {"one", "two"}), nullptr);
  EXPECT_TRUE(store_->CreateSnapshot(kId, *store_->Find("a:1")));
}

TEST_F(Store, ADamagedSnapshotRecordDoesNotPreventOpening) {
  ASSERT_TRUE(store_->CreateSnapshot(kId, *ImportSimple("a:1")));
  store_.reset();
  const auto snapshot = OpenAt(dir_.fd(), "data/snapshots/" + kId, O_RDONLY | O_DIRECTORY);
  for (const char* record : {"", "1\n", "1\nen", "../x\nend\n", "end\n"}) {
    ASSERT_TRUE(WriteFileAtomic(snapshot->get(), "layers", record));
    Reopen();
    EXPECT_EQ(store_->GetSnapshot(kId).error().code(), ErrorCode::kFailedPrecondition) << record;
    store_.reset();
  }
  Reopen();
  EXPECT_TRUE(store_->RemoveSnapshot(kId));
  EXPECT_NE(store_->Find("a:1"), nullptr);
}

TEST_F(Store, CreatingAndRemovingAtOnceLosesNoLayerInUse) {
  const std::string archive = OciArchiveOf({{.layers = {{.entries = {File("x", "x")}}}, .name = "a:1"}});
  std::atomic<bool> stop = false;
  {
    std::jthread churn([&] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(ImportBytes(archive));
        EXPECT_TRUE(store_->Remove("a:1"));
      }
      stop = true;
    });
    while (!stop) {
      const ImagePtr image = store_->Find("a:1");
      if (image == nullptr) continue;
      const auto snapshot = store_->CreateSnapshot(kId, *image);
      if (!snapshot) {
        EXPECT_EQ(snapshot.error().code(), ErrorCode::kNotFound) << snapshot.error().message();
        continue;
      }
      EXPECT_TRUE(OpenAt(AT_FDCWD, snapshot->layers_dir + "/" + snapshot->layers.lower[0] + "/x", O_RDONLY));
      EXPECT_TRUE(store_->RemoveSnapshot(kId));
    }
  }
  ExpectEmpty();
}

}  // namespace
}  // namespace fermata::overlay::testing
