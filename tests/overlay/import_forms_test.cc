// The forms of images besides the OCI archive: docker save, old and new, and root file systems.
#include <gmock/gmock.h>

#include <thread>

#include "tests/overlay/raw_tar.h"
#include "tests/overlay/store_fixture.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string& BaseTar() {
  static const std::string tar = TarOf({File("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), File("bin/sh", "#!", 0755)});
  return tar;
}
const std::string& TopTar() {
  static const std::string tar = TarOf({File("etc/top", "top"), File("etc/.wh.passwd", "")});
  return tar;
}

std::string ConfigOf(const std::vector<std::string>& tars) {
  Json diff_ids = Json::array();
  for (const std::string& tar : tars) diff_ids.push_back(DigestOf(tar));
  return Json({{"architecture", HostArchitecture()},
               {"os", "linux"},
               {"config", {{"Env", {"A=b"}}, {"Cmd", {"sh"}}}},
               {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}})
      .dump();
}

class ImportForms : public StoreFixture {
 protected:
  void ExpectRefused(const std::string& archive, const std::string& text, const std::string& name = "") {
    SCOPED_TRACE(text);
    const auto images = ImportBytes(archive, name);
    ASSERT_FALSE(images);
    EXPECT_EQ(images.error().code(), ErrorCode::kInvalidArgument) << images.error().message();
    EXPECT_THAT(images.error().message(), HasSubstr(text));
    ExpectEmpty();
  }
  // What image "demo:1" of BaseTar and TopTar has to be; removes it.
  void ExpectDemo(const Result<std::vector<ImagePtr>>& images) {
    ASSERT_TRUE(images) << images.error().message();
    ASSERT_EQ(images->size(), 1U);
    const ImagePtr image = images->front();
    EXPECT_THAT(image->repo_tags, ElementsAre("docker.io/library/demo:1"));
    EXPECT_EQ(image->id, DigestOf(ConfigOf({BaseTar(), TopTar()}))) << "the id that docker shows";
    EXPECT_THAT(image->config.env, ElementsAre("A=b"));
    ASSERT_EQ(image->layers.size(), 2U);
    EXPECT_EQ(*ReadFileAt(dir_.fd(), "data/layers/" + image->layers[1] + "/etc/top"), "top");
    EXPECT_THAT(Files("staging"), IsEmpty());
    Reopen();
    EXPECT_TRUE(store_->problems().empty());
    ASSERT_NE(store_->Find("demo:1"), nullptr);
    EXPECT_TRUE(store_->Remove("demo:1"));
    ExpectEmpty();
  }
};

// As docker before 25 writes it; `manifest` is the test's to bend.
std::vector<TarEntry> LegacySave(const Json& manifest) {
  const std::string config = ConfigOf({BaseTar(), TopTar()});
  std::vector<TarEntry> entries = {Directory("aaaa/"),
                                   File("aaaa/VERSION", "1.0"),
                                   File("aaaa/json", "{}"),
                                   File("aaaa/layer.tar", BaseTar()),
                                   File("bbbb/layer.tar", TopTar()),
                                   File(HexOf(DigestOf(config)) + ".json", config),
                                   File("repositories", "{}"),
                                   File("manifest.json", manifest.dump())};
  return entries;
}

Json LegacyManifest() {
  return Json::array({{{"Config", HexOf(DigestOf(ConfigOf({BaseTar(), TopTar()}))) + ".json"},
                       {"RepoTags", {"demo:1"}},
                       {"Layers", {"aaaa/layer.tar", "bbbb/layer.tar"}}}});
}

TEST_F(ImportForms, TakesDockerSaveOfBeforeVersion25) {
  const std::string archive = TarOf(LegacySave(LegacyManifest()));
  for (const Compression kind : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    ExpectDemo(ImportBytes(Compress(archive, kind)));
  }
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  std::jthread writer([&archive, end = ends[1]] {
    const UniqueFd mine(end);
    EXPECT_TRUE(WriteAll(mine.get(), archive));
  });
  ExpectDemo(store_->Import(reader.get(), ""));
}

TEST_F(ImportForms, TakesDockerSaveWithBlobsButNoIndex) {
  const std::string config = ConfigOf({BaseTar(), TopTar()});
  const auto blob = [](const std::string& data) { return "blobs/sha256/" + HexOf(DigestOf(data)); };
  const std::string gzip = Compress(BaseTar(), Compression::kGzip);
  const std::string zstd = Compress(TopTar(), Compression::kZstd);
  const Json manifest =
      Json::array({{{"Config", blob(config)}, {"RepoTags", {"demo:1"}}, {"Layers", {blob(gzip), blob(zstd)}}}});
  ExpectDemo(ImportBytes(TarOf({File(blob(config), config), File(blob(gzip), gzip), File(blob(zstd), zstd),
                                File("manifest.json", manifest.dump())})));
}

TEST_F(ImportForms, TakesDockerSaveThatIsAnOciArchiveToo) {
  LayoutBuilder builder;
  builder.AddToIndex(builder.AddImage({.layers = {{.tar = BaseTar()}}}), "demo.local/oci:1");
  std::string archive = builder.Archive();
  archive.resize(archive.size() - 1024);
  const auto images = ImportBytes(archive + TarOf({File("manifest.json", "[]")}));
  ASSERT_TRUE(images) << images.error().message();
  EXPECT_THAT(images->front()->repo_tags, ElementsAre("demo.local/oci:1")) << "the index counts";
}

TEST_F(ImportForms, FollowsLinksBetweenTheLayersOfDockerSave) {
  std::vector<TarEntry> entries = LegacySave(LegacyManifest());
  entries[4] = File("cccc/layer.tar", TopTar());
  entries.push_back(Symlink("bbbb/layer.tar", "../cccc/layer.tar"));
  ExpectDemo(ImportBytes(TarOf(entries)));
  entries.back() = HardLink("bbbb/layer.tar", "cccc/layer.tar");
  ExpectDemo(ImportBytes(TarOf(entries)));
  for (const char* target : {"../../../etc/passwd", "/etc/passwd", "layer.tar", "../missing"}) {
    entries.back() = Symlink("bbbb/layer.tar", target);
    ExpectRefused(TarOf(entries), "bbbb/layer.tar is missing");
  }
}

TEST_F(ImportForms, NamesWhatDockerSaveHasNoNameFor) {
  Json manifest = LegacyManifest();
  manifest[0]["RepoTags"] = nullptr;
  const auto nameless = ImportBytes(TarOf(LegacySave(manifest)));
  ASSERT_TRUE(nameless) << nameless.error().message();
  EXPECT_THAT(nameless->front()->repo_tags, IsEmpty());
  ExpectDemo(ImportBytes(TarOf(LegacySave(manifest)), "demo:1"));
  manifest[0]["RepoTags"] = {"one.local/a:1", "two.local/b:2"};
  const auto two = ImportBytes(TarOf(LegacySave(manifest)));
  ASSERT_TRUE(two) << two.error().message();
  EXPECT_THAT(two->front()->repo_tags, ElementsAre("one.local/a:1", "two.local/b:2"));
}

TEST_F(ImportForms, RefusesDockerSaveThatDoesNotFitTogether) {
  const auto bent = [](const std::function<void(Json&)>& bend) {
    Json manifest = LegacyManifest();
    bend(manifest);
    return TarOf(LegacySave(manifest));
  };
  ExpectRefused(bent([](Json& m) { m = Json::array(); }), "no images in it");
  ExpectRefused(bent([](Json& m) { m = {{"Config", "x"}}; }), "not a list");
  ExpectRefused(bent([](Json& m) { m[0].erase("Config"); }), "manifest.json");
  ExpectRefused(bent([](Json& m) { m[0]["Config"] = "other.json"; }), "other.json is missing");
  ExpectRefused(bent([](Json& m) { m[0]["Config"] = "../../etc/passwd"; }), "climbs out");
  ExpectRefused(bent([](Json& m) { m[0]["Config"] = "aaaa/json"; }), "aaaa/json");
  ExpectRefused(bent([](Json& m) { m[0]["Layers"][1] = "dddd/layer.tar"; }), "dddd/layer.tar is missing");
  ExpectRefused(bent([](Json& m) { m[0]["Layers"].erase(1); }), "2 diff ids for 1 layers");
  ExpectRefused(bent([](Json& m) { std::swap(m[0]["Layers"][0], m[0]["Layers"][1]); }), "the image says");
  ExpectRefused(bent([](Json& m) { m[0]["RepoTags"] = {"Not//A name"}; }), "name of the image");
  ExpectRefused(TarOf({File("manifest.json", "{")}), "manifest.json");
}

TEST_F(ImportForms, TakesRootFileSystems) {
  const std::string tar = TarOf({Directory("./", 0755), File("./bin/sh", "#!", 0755), Symlink("./lib", "usr/lib"),
                                 Node("./run/pipe", AE_IFIFO), HardLink("./bin/ash", "./bin/sh")});
  std::string id;
  for (const Compression kind : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    const auto images = ImportBytes(Compress(tar, kind), "mine.local/root:1");
    ASSERT_TRUE(images) << images.error().message();
    const ImagePtr image = images->front();
    EXPECT_THAT(image->repo_tags, ElementsAre("mine.local/root:1"));
    EXPECT_EQ(image->config.architecture, HostArchitecture());
    EXPECT_THAT(image->config.diff_ids, ElementsAre(DigestOf(tar)));
    EXPECT_EQ(*ReadFileAt(dir_.fd(), "data/layers/" + image->layers[0] + "/bin/ash"), "#!");
    if (!id.empty()) {
      EXPECT_EQ(image->id, id) << "the same files are the same image, however packed";
    }
    id = image->id;
    ASSERT_TRUE(store_->Remove("mine.local/root:1"));
  }
  ExpectEmpty();
  ExpectRefused(tar, "give the image a NAME");
}

TEST_F(ImportForms, TakesRootFileSystemsWithMoreFilesThanAnImageArchiveMayHave) {
  std::string tar;
  for (int i = 0; i < 10'500; ++i) tar += RawEntry({.name = "srv/" + std::to_string(i)});
  tar += RawEntry({.name = "srv/0"}, "again");
  ASSERT_TRUE(ImportBytes(tar + TarEnd(), "many:1"));
  ASSERT_TRUE(store_->Remove("many:1"));
  ExpectRefused(tar + RawEntry({.name = "index.json"}, "{}") + TarEnd(), "limit of 10000 entries", "many:1");
}

TEST_F(ImportForms, RefusesRootFileSystemsThatAreNone) {
  ExpectRefused(TarEnd(), "an empty tar", "root:1");
  ExpectRefused("hello", "cut short", "root:1");
  ExpectRefused(TarOf({File("../evil", "")}), "climbs out", "root:1");
  ExpectRefused(TarOf({File("blobs/sha256/x", "")}), "index.json is missing", "root:1");
  ExpectRefused(Compress(TarOf({File("a", "")}), Compression::kGzip).substr(0, 60), "cut short", "root:1");
  ExpectRefused(TarOf({File("a", "")}), "lower case", "Root");
}

}  // namespace
}  // namespace fermata::overlay::testing
