#include "overlay/image/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fermata::overlay {
namespace {

using ::testing::ElementsAre;

const std::string kDigest = "sha256:" + std::string(64, 'a');
const std::string kLayer =
    R"({"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":")" + kDigest + R"(","size":5})";
const std::string kConfig =
    R"({"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" + kDigest + R"(","size":7})";

std::string ManifestWith(const std::string& config, const std::string& layers, const std::string& more = "") {
  return R"({"schemaVersion":2,"config":)" + config + R"(,"layers":[)" + layers + "]" + more + "}";
}

TEST(Config, ReadsAManifest) {
  const auto manifest = ParseManifest(ManifestWith(kConfig, kLayer + "," + kLayer));
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_EQ(manifest->config.size_bytes, 7U);
  EXPECT_EQ(manifest->layers.size(), 2U);
}

TEST(Config, RefusesBadManifests) {
  std::string many = kLayer;
  for (int i = 1; i < 128; ++i) many += "," + kLayer;
  const std::string table[] = {
      "",
      "[]",
      "null",
      "{",
      "{}",
      ManifestWith(kConfig, ""),
      ManifestWith(kConfig, many),
      ManifestWith(kLayer, kLayer),
      ManifestWith(kConfig, kConfig),
      ManifestWith(kConfig, "3"),
      ManifestWith(kConfig, kLayer, R"(,"manifests":[])"),
      ManifestWith(kConfig, kLayer, R"(,"layers":[])"),
      ManifestWith(kConfig, kLayer, R"(,"mediaType":"application/vnd.oci.image.index.v1+json")"),
      ManifestWith(kConfig, kLayer, R"(,"mediaType":"text/plain")"),
      ManifestWith(kConfig, kLayer, R"(,"mediaType":5)"),
      ManifestWith(kConfig, R"({"mediaType":"application/x-xz","digest":")" + kDigest + R"(","size":5})"),
      ManifestWith(kConfig,
                   R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:../x","size":5})"),
      ManifestWith(kConfig,
                   R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" + kDigest + R"(","size":-5})"),
      ManifestWith(kConfig, R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" + kDigest +
                                R"(","size":1e3})"),
      ManifestWith(kConfig, R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" + kDigest + R"("})"),
      R"({"schemaVersion":1,"config":)" + kConfig + R"(,"layers":[)" + kLayer + "]}",
      std::string(1'000'000, '['),
      std::string(5 << 20, ' '),
  };
  for (const std::string& text : table) {
    const auto manifest = ParseManifest(text);
    ASSERT_FALSE(manifest) << text.substr(0, 300);
    EXPECT_EQ(manifest.error().code(), ErrorCode::kInvalidArgument) << text.substr(0, 300);
  }
}

TEST(Config, ASchemaVersionThatIsNoWholeNumberIsRefused) {
  for (const char* version : {"2.5", "2.0", "18446744073709551618", "true", "\"2\"", "null"}) {
    EXPECT_FALSE(ParseIndex(std::string(R"({"schemaVersion":)") + version + R"(,"manifests":[]})")) << version;
  }
  EXPECT_TRUE(ParseIndex(R"({"schemaVersion":2,"manifests":[]})"));
}

TEST(Config, ReadsAnIndexAndLeavesOutOtherThings) {
  const std::string manifest = R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" + kDigest +
                               R"(","size":5,"platform":{"os":"linux","architecture":"arm64"},"annotations":null})";
  const auto index = ParseIndex(R"({"schemaVersion":2,"manifests":[)" + manifest +
                                R"(,{"mediaType":"text/plain","digest":"x","size":1}]})");
  ASSERT_TRUE(index) << index.error().message();
  ASSERT_EQ(index->size(), 1U);
  EXPECT_EQ((*index)[0].architecture, "arm64");
  std::string many = manifest;
  for (int i = 0; i < 1024; ++i) many += "," + manifest;
  EXPECT_FALSE(ParseIndex(R"({"schemaVersion":2,"manifests":[)" + many + "]}"));
}

TEST(Config, ReadsAnImageConfigWithNullsAsGoWritesThem) {
  const auto config = ParseImageConfig(R"({"architecture":"amd64","os":"linux","config":{"User":"u","Env":["A=b"],
      "Entrypoint":null,"Cmd":["sh"],"Volumes":{"/b":{},"/a":{}},"Labels":{"k":"v"},"WorkingDir":"/w","StopSignal":null},
      "rootfs":{"type":"layers","diff_ids":[")" +
                                       kDigest + R"("]}})");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->user, "u");
  EXPECT_THAT(config->env, ElementsAre("A=b"));
  EXPECT_TRUE(config->entrypoint.empty());
  EXPECT_THAT(config->volumes, ElementsAre("/a", "/b"));
  EXPECT_EQ(config->labels.at("k"), "v");
  EXPECT_THAT(config->diff_ids, ElementsAre(kDigest));
}

TEST(Config, RefusesBadImageConfigs) {
  const std::string tail = R"("os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]})";
  EXPECT_TRUE(ParseImageConfig("{" + tail + "}"));
  for (const std::string& text :
       {R"({"config":[],)" + tail + "}", R"({"config":{"Env":"A=b"},)" + tail + "}",
        R"({"config":{"Cmd":[1]},)" + tail + "}", R"({"os":"linux",)" + tail + "}",
        std::string(R"({"os":"linux","architecture":"amd64"})"),
        std::string(R"({"os":"l","architecture":"a","rootfs":{"type":"layers","diff_ids":["x"]}})")}) {
    EXPECT_FALSE(ParseImageConfig(text)) << text;
  }
}

}  // namespace
}  // namespace fermata::overlay
