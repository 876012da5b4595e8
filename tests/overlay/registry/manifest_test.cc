// I-01: what a document is, by its header and by its own words.
#include <gmock/gmock.h>

#include "overlay/registry/manifest_fetch.h"
#include "tests/overlay/registry/registry_fixture.h"

namespace fermata::overlay::testing {
namespace {

constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";
constexpr const char* kDockerType = "application/vnd.docker.distribution.manifest.v2+json";

std::string Without(std::string text, const std::string& part) { return text.erase(text.find(part), part.size()); }

TEST(Manifest, IsWhatHeaderAndDocumentAgreeOn) {
  const std::string manifest = MakeImage(10).manifest;
  const std::string untold = Without(manifest, R"("mediaType":"application/vnd.oci.image.manifest.v1+json",)");
  const std::string index = R"({"schemaVersion":2,"manifests":[]})";
  for (const auto& [text, type, kind] :
       {std::tuple(manifest, kManifestType, MediaKind::kManifest),
        std::tuple(manifest, "Application/vnd.OCI.image.manifest.v1+json; charset=utf-8", MediaKind::kManifest),
        std::tuple(manifest, "", MediaKind::kManifest), std::tuple(manifest, "application/json", MediaKind::kManifest),
        std::tuple(untold, kManifestType, MediaKind::kManifest), std::tuple(untold, kDockerType, MediaKind::kManifest),
        std::tuple(index, kIndexType, MediaKind::kIndex)}) {
    const auto document = CheckManifest(text, type, DigestOf(text));
    ASSERT_OK(document);
    EXPECT_EQ(document->descriptor.kind, kind);
    EXPECT_EQ(document->descriptor.digest, DigestOf(text));
    EXPECT_EQ(document->text, text);
  }
}

TEST(Manifest, I01AnAmbiguousDocumentIsRefused) {
  const std::string manifest = MakeImage(10).manifest;
  const std::string untold = Without(manifest, R"("mediaType":"application/vnd.oci.image.manifest.v1+json",)");
  const std::string both = "{\"manifests\":[]," + untold.substr(1);
  const std::string twice = "{\"layers\":[]," + untold.substr(1);
  for (const auto& [text, type] : std::initializer_list<std::pair<std::string, const char*>>{
           {manifest, kIndexType},
           {manifest, kDockerType},
           {manifest, "text/html"},
           {untold, ""},
           {untold, "application/json"},
           {untold, kIndexType},
           {both, kManifestType},
           {both, kIndexType},
           {twice, kManifestType},
           {R"({"schemaVersion":2,"mediaType":5,"manifests":[]})", kIndexType},
           {R"({"schemaVersion":2,"mediaType":"","manifests":[]})", ""},
           {R"({"manifests":[]})", kIndexType},
           {R"([])", kIndexType},
           {"", kManifestType}}) {
    EXPECT_FAILURE(CheckManifest(text, type, ""), kInvalidArgument, "");
  }
}

TEST(Manifest, Schema1IsRefusedInWords) {
  const std::string old = R"({"schemaVersion":1,"name":"a","tag":"b","fsLayers":[]})";
  for (const char* type : {"application/vnd.docker.distribution.manifest.v1+json",
                           "application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json", ""}) {
    EXPECT_FAILURE(CheckManifest(old, type, ""), kInvalidArgument,
                   "a manifest of schema 1, which is not supported: push the image again with a newer tool");
  }
}

}  // namespace
}  // namespace fermata::overlay::testing
