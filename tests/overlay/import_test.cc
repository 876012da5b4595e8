// What ImageStore::Import takes and refuses.
#include <gmock/gmock.h>
#include <unistd.h>

#include <thread>

#include "tests/overlay/store_fixture.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const LayerSpec kBase{.entries = {File("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), File("bin/sh", "#!", 0755)}};
const LayerSpec kTop{.entries = {File("etc/top", "top")}, .compression = Compression::kZstd};
const LayerSpec kPlain{.entries = {File("etc/plain", "plain")}, .compression = Compression::kNone};

class Import : public StoreFixture {
 protected:
  void ExpectRefused(const std::string& archive, const std::string& text, const std::string& name = "") {
    const auto images = ImportBytes(archive, name);
    ASSERT_FALSE(images) << text;
    EXPECT_EQ(images.error().code(), ErrorCode::kInvalidArgument) << images.error().message();
    EXPECT_THAT(images.error().message(), HasSubstr(text));
    ExpectEmpty();
  }
};

TEST_F(Import, TakesLayersOfEveryCompression) {
  const std::string archive =
      OciArchiveOf({{.layers = {kBase, kTop, kPlain}, .name = "busybox:1", .run = {{"Env", {"A=b"}}}}});
  const auto images = ImportBytes(archive);
  ASSERT_TRUE(images) << images.error().message();
  const ImagePtr image = images->front();
  EXPECT_THAT(image->repo_tags, ElementsAre("docker.io/library/busybox:1"));
  EXPECT_THAT(image->repo_digests, ElementsAre("docker.io/library/busybox@" + image->manifest_digest));
  EXPECT_THAT(image->config.env, ElementsAre("A=b"));
  EXPECT_EQ(image->layers.size(), 3U);
  EXPECT_GT(image->size_bytes, image->config_json.size());
  EXPECT_GT(image->created_at_ns, 0);
  EXPECT_EQ(*ReadFileAt(dir_.fd(), "data/layers/" + image->layers[1] + "/etc/top"), "top");
  EXPECT_THAT(Files("staging"), IsEmpty());
  EXPECT_EQ(Files("blobs/sha256").size(), 2U);
}

TEST_F(Import, TakesPipesAndCompressedArchives) {
  const std::string archive = OciArchiveOf({{.layers = {kBase, kTop}, .name = "busybox:1"}});
  for (const Compression kind : {Compression::kGzip, Compression::kZstd}) {
    ASSERT_TRUE(ImportBytes(Compress(archive, kind)));
    ASSERT_TRUE(store_->Remove("busybox:1"));
  }
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  std::jthread writer([&archive, end = ends[1]] {
    const UniqueFd mine(end);
    (void)WriteAll(mine.get(), archive);
  });
  const auto images = store_->Import(reader.get(), "");
  ASSERT_TRUE(images) << images.error().message();
  EXPECT_NE(store_->Find("busybox:1"), nullptr);
}

TEST_F(Import, NamesImages) {
  const std::vector<LayerSpec> layers = {kBase};
  const auto tag_only = ImportBytes(OciArchiveOf({{.layers = layers, .name = "latest"}}));
  ASSERT_TRUE(tag_only);
  EXPECT_THAT(tag_only->front()->repo_tags, IsEmpty()) << "a bare tag names no repository";
  const auto given = ImportBytes(OciArchiveOf({{.layers = layers, .name = "other/name:1"}}), "mine:2");
  ASSERT_TRUE(given);
  EXPECT_THAT(given->front()->repo_tags, ElementsAre("docker.io/library/mine:2"));
  LayoutBuilder builder;
  Json descriptor = builder.AddImage({.layers = layers});
  descriptor["annotations"]["io.containerd.image.name"] = "quay.io/a/b:3";
  builder.AddToIndex(descriptor, "ignored/name:1");
  const auto annotated = ImportBytes(builder.Archive());
  ASSERT_TRUE(annotated);
  EXPECT_NE(store_->Find("quay.io/a/b:3"), nullptr);
  EXPECT_EQ(store_->Find("ignored/name:1"), nullptr);
  EXPECT_EQ(store_->List().size(), 1U) << "one image with several names";
}

TEST_F(Import, TakesSeveralImagesAtOnceAndSharesLayers) {
  const auto images =
      ImportBytes(OciArchiveOf({{.layers = {kBase, kTop}, .name = "a:1"}, {.layers = {kBase, kPlain}, .name = "b:1"}}));
  ASSERT_TRUE(images) << images.error().message();
  EXPECT_EQ(images->size(), 2U);
  EXPECT_EQ(Files("layers").size(), 3U);
  EXPECT_EQ(store_->Find("a:1")->layers[0], store_->Find("b:1")->layers[0]);
}

TEST_F(Import, HasALayerThatAppearsTwiceOnce) {
  const auto images = ImportBytes(OciArchiveOf({{.layers = {kBase, kTop, kBase}, .name = "a:1"}}));
  ASSERT_TRUE(images) << images.error().message();
  const ImagePtr image = images->front();
  ASSERT_EQ(image->layers.size(), 2U);
  EXPECT_TRUE(OpenAt(dir_.fd(), "data/layers/" + image->layers[1] + "/bin/sh", O_RDONLY)) << "the upper place counts";
}

TEST_F(Import, ChoosesThePlatformOfThisMachine) {
  LayoutBuilder builder;
  Json foreign = builder.AddImage({.layers = {kTop}, .architecture = "s390x"});
  foreign["platform"] = {{"os", "linux"}, {"architecture", "s390x"}};
  Json ours = builder.AddImage({.layers = {kBase}});
  ours["platform"] = {{"os", "linux"}, {"architecture", HostArchitecture()}};
  const Json index = builder.AddIndex({foreign, ours});
  builder.AddToIndex(index, "multi:1");
  const auto images = ImportBytes(builder.Archive());
  ASSERT_TRUE(images) << images.error().message();
  EXPECT_EQ(images->front()->config.architecture, HostArchitecture());
  EXPECT_THAT(images->front()->repo_digests,
              ElementsAre("docker.io/library/multi@" + index["digest"].get<std::string>()));
}

TEST_F(Import, RefusesForeignPlatforms) {
  ExpectRefused(OciArchiveOf({{.layers = {kBase}, .name = "a:1", .architecture = "s390x"}}), "s390x");
  ExpectRefused(OciArchiveOf({{.layers = {kBase}, .name = "a:1", .os = "windows"}}), "windows");
  LayoutBuilder builder;
  Json foreign = builder.AddImage({.layers = {kTop}, .architecture = "s390x"});
  foreign["platform"] = {{"os", "linux"}, {"architecture", "s390x"}};
  builder.AddToIndex(builder.AddIndex({foreign, foreign}), "a:1");
  ExpectRefused(builder.Archive(), "no image for linux/");
}

TEST_F(Import, RefusesWhatIsNoArchive) {
  ExpectRefused("", "an empty tar");
  ExpectRefused("hello", "read image archive");
  ExpectRefused(TarOf({File("notes", "")}), "give the image a NAME");
  ExpectRefused(TarOf({File("repositories", "{}")}), "older than 1.10");
  ExpectRefused(TarOf({File("oci-layout", "{}")}), "index.json is missing", "name:1");
  ExpectRefused(std::string(100'000, 'x'), "read image archive");
  ExpectRefused(TarOf({File("index.json", "{}")}), "oci-layout is missing");
  ExpectRefused(TarOf({File("index.json", "{}"), File("oci-layout", R"({"imageLayoutVersion":"9"})")}), "1.0.0");
  ExpectRefused(TarOf({File("index.json", "[]"), File("oci-layout", R"({"imageLayoutVersion":"1.0.0"})")}), "index");
  ExpectRefused(TarOf({File("a", ""), File("./a", "")}), "twice");
  ExpectRefused(TarOf({File("../a", "")}), "climbs out");
}

TEST_F(Import, RefusesArchivesCutShortAnywhere) {
  const std::string archive = OciArchiveOf({{.layers = {kBase, kTop}, .name = "a:1"}});
  const size_t index = archive.find("index.json");
  for (size_t keep = 512; keep < index + 600; keep += 512) {
    const auto images = ImportBytes(archive.substr(0, keep));
    ASSERT_FALSE(images) << keep;
    EXPECT_EQ(images.error().code(), ErrorCode::kInvalidArgument) << images.error().message();
  }
  ExpectEmpty();
  const std::string packed = Compress(archive, Compression::kGzip);
  ExpectRefused(packed.substr(0, packed.size() - 20), "read image archive");
}

TEST_F(Import, RefusesBlobsThatAreNotWhatTheirDigestSays) {
  LayoutBuilder fine;
  const Json manifest = fine.AddImage({.layers = {kBase, kTop}});
  fine.AddToIndex(manifest, "a:1");
  for (const auto& [hex, data] : fine.blobs) {
    LayoutBuilder flipped = fine;
    flipped.blobs[hex].back() = static_cast<char>(flipped.blobs[hex].back() ^ 1);
    ExpectRefused(flipped.Archive(), "import image");
    LayoutBuilder shorter = fine;
    shorter.blobs[hex].pop_back();
    ExpectRefused(shorter.Archive(), "bytes, the image says");
    LayoutBuilder missing = fine;
    missing.blobs.erase(hex);
    ExpectRefused(missing.Archive(), "is missing");
  }
  EXPECT_TRUE(ImportBytes(fine.Archive())) << "the fixture is right";
}

class ImportManifest : public Import {
 protected:
  // An image whose config and layer list the test bends.
  std::string Bent(const std::function<void(LayoutBuilder&, Json& config, Json& layers)>& bend) {
    LayoutBuilder builder;
    const std::string tar = TarOf(kBase.entries);
    Json layers = {builder.AddBlob(tar, "application/vnd.oci.image.layer.v1.tar")};
    Json config = {{"architecture", HostArchitecture()},
                   {"os", "linux"},
                   {"rootfs", {{"type", "layers"}, {"diff_ids", {DigestOf(tar)}}}}};
    bend(builder, config, layers);
    builder.AddToIndex(builder.AddManifest(config, layers), "a:1");
    return builder.Archive();
  }
};

TEST_F(ImportManifest, RefusesDiffIdsThatDoNotFit) {
  ExpectRefused(Bent([](auto&, Json& config, Json&) { config["rootfs"]["diff_ids"][0] = DigestOf("other"); }),
                "diff id");
  ExpectRefused(Bent([](auto&, Json& config, Json&) { config["rootfs"]["diff_ids"].push_back(DigestOf("x")); }),
                "1 layers and 2 diff ids");
  ExpectRefused(Bent([](auto&, Json& config, Json&) { config["rootfs"]["diff_ids"] = Json::array(); }), "0 diff ids");
  ExpectRefused(Bent([](auto&, Json& config, Json&) { config["rootfs"]["diff_ids"][0] = "sha256:../../x"; }),
                "diff id");
}

TEST_F(ImportManifest, RefusesUnknownMediaTypesWrongSizesAndTooManyLayers) {
  ExpectRefused(Bent([](auto&, Json&, Json& layers) { layers[0]["mediaType"] = "application/x-xz"; }), "media type");
  ExpectRefused(Bent([](auto&, Json&, Json& layers) { layers[0]["size"] = 1; }), "the image says 1");
  ExpectRefused(Bent([](auto&, Json&, Json& layers) { layers[0]["digest"] = "sha256:abc"; }), "digest");
  ExpectRefused(Bent([](auto&, Json&, Json& layers) { layers = Json::array(); }), "no layers");
  ExpectRefused(Bent([](auto&, Json& config, Json& layers) {
                  while (layers.size() < 128) {
                    layers.push_back(layers[0]);
                    config["rootfs"]["diff_ids"].push_back(config["rootfs"]["diff_ids"][0]);
                  }
                }),
                "128 layers");
}

TEST_F(Import, RefusesHostileLayersAndKeepsNothingOfTheOthers) {
  const LayerSpec climbs{.entries = {File("fine", ""), File("../../evil", "x")}};
  ExpectRefused(OciArchiveOf({{.layers = {kBase, kTop, climbs, kPlain}, .name = "a:1"}}), "climbs out");
  const LayerSpec bad_link{.entries = {HardLink("a", "bin/sh")}};
  ExpectRefused(OciArchiveOf({{.layers = {kBase, bad_link}, .name = "a:1"}}), "lower layers");
  ExpectRefused(OciArchiveOf({{.layers = {kBase}, .name = "a:1"}, {.layers = {climbs}, .name = "b:1"}}), "climbs out");
}

TEST_F(Import, RefusesBadNames) {
  const std::string two = OciArchiveOf({{.layers = {kBase}}, {.layers = {kTop}}});
  ExpectRefused(two, "2 images", "a:1");
  const std::string one = OciArchiveOf({{.layers = {kBase}}});
  ExpectRefused(one, "lower case", "Upper");
  ExpectRefused(one, "has the digest", "a@" + DigestOf("other"));
  ExpectRefused(OciArchiveOf({{.layers = {kBase}, .name = "a//b:1"}}), "name of the image");
}

TEST_F(Import, AFailureLeavesWhatWasThere) {
  ASSERT_NE(ImportSimple("a:1", {"one"}), nullptr);
  const auto layers = Files("layers");
  const LayerSpec climbs{.entries = {File("../evil", "x")}};
  EXPECT_FALSE(ImportBytes(OciArchiveOf({{.layers = {kTop, climbs}, .name = "a:1"}})));
  EXPECT_EQ(Files("layers"), layers);
  EXPECT_NE(store_->Find("a:1"), nullptr);
  Reopen();
  EXPECT_TRUE(store_->problems().empty());
  EXPECT_NE(store_->Find("a:1"), nullptr);
}

TEST_F(Import, SeveralAtOnceUnpackEachLayerOnce) {
  std::vector<std::string> archives;
  for (int i = 0; i < 8; ++i) {
    const LayerSpec own{.entries = {File("own", std::to_string(i))}};
    ImageSpec spec{.layers = {kBase, kTop, own, kPlain}, .name = "app:" + std::to_string(i)};
    if (i % 2 == 1) std::swap(spec.layers[0], spec.layers[3]);
    archives.push_back(OciArchiveOf({spec}));
  }
  {
    std::vector<std::jthread> threads;
    for (const std::string& archive : archives) {
      threads.emplace_back([&] {
        const auto images = ImportBytes(archive);
        EXPECT_TRUE(images) << images.error().message();
      });
    }
  }
  EXPECT_EQ(store_->List().size(), 8U);
  EXPECT_EQ(Files("layers").size(), 3U + 8U);
  EXPECT_THAT(Files("staging"), IsEmpty());
}

TEST_F(Import, SucceedsBesideOneThatFailsWithTheSameLayers) {
  const LayerSpec climbs{.entries = {File("../evil", "x")}};
  const std::string bad = OciArchiveOf({{.layers = {kBase, kTop, climbs}, .name = "bad:1"}});
  const std::string good = OciArchiveOf({{.layers = {kBase, kTop}, .name = "good:1"}});
  for (int round = 0; round < 5; ++round) {
    {
      std::jthread failing([&] { EXPECT_FALSE(ImportBytes(bad)); });
      EXPECT_TRUE(ImportBytes(good));
    }
    ASSERT_TRUE(store_->Remove("good:1"));
    ExpectEmpty();
  }
}

}  // namespace
}  // namespace fermata::overlay::testing
