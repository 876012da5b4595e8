// Rows of the threat table about what images say: documents, digests, references, users.
#include <gtest/gtest.h>

#include <chrono>

#include "overlay/digest.h"
#include "overlay/image/config.h"
#include "overlay/image/reference.h"
#include "overlay/user_lookup.h"
#include "tests/overlay/temp_dir.h"

namespace fermata::overlay {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');
const std::string kIndexType = "application/vnd.oci.image.index.v1+json";
const std::string kManifestType = "application/vnd.oci.image.manifest.v1+json";

std::string Descriptor(const std::string& type, const std::string& digest = kDigest) {
  return R"({"mediaType":")" + type + R"(","digest":")" + digest + R"(","size":5})";
}
const std::string kConfig = R"("config":)" + Descriptor("application/vnd.oci.image.config.v1+json");
const std::string kLayers = R"("layers":[)" + Descriptor("application/vnd.oci.image.layer.v1.tar") + "]";
const std::string kManifests = R"("manifests":[)" + Descriptor(kManifestType) + "]";

std::string Document(const std::string& more) { return R"({"schemaVersion":2,)" + more + "}"; }
std::string Typed(const std::string& type, const std::string& more) {
  return Document(R"("mediaType":")" + type + R"(",)" + more);
}

TEST(HostileDocument, I01TwelveDocumentsThatCouldBeReadTwoWaysAreRefusedAlike) {
  ASSERT_TRUE(ParseManifest(Typed(kManifestType, kConfig + "," + kLayers)));
  ASSERT_TRUE(ParseIndex(Typed(kIndexType, kManifests)));
  const std::string manifests[] = {
      Document(kConfig + "," + kLayers + "," + kManifests),
      Typed(kIndexType, kConfig + "," + kLayers),
      Typed(kManifestType, kConfig + "," + kLayers + R"(,"manifests":null)"),
      Typed(kManifestType, kConfig + "," + kConfig + "," + kLayers),
      Typed(kManifestType, kConfig + "," + kLayers + "," + kLayers),
      Document(R"("mediaType":")" + kManifestType + R"(","mediaType":")" + kIndexType + R"(",)" + kConfig + "," +
               kLayers),
      Typed("application/vnd.docker.distribution.manifest.list.v2+json", kConfig + "," + kLayers),
  };
  const std::string indexes[] = {
      Document(kManifests + "," + kConfig),
      Document(kManifests + "," + kLayers),
      Typed(kManifestType, kManifests),
      Document(kManifests + "," + kManifests),
      Typed("application/vnd.docker.distribution.manifest.v2+json", kManifests),
  };
  for (const std::string& text : manifests) {
    const auto manifest = ParseManifest(text);
    ASSERT_FALSE(manifest) << text;
    EXPECT_EQ(manifest.error().code(), ErrorCode::kInvalidArgument) << text;
  }
  for (const std::string& text : indexes) {
    const auto index = ParseIndex(text);
    ASSERT_FALSE(index) << text;
    EXPECT_EQ(index.error().code(), ErrorCode::kInvalidArgument) << text;
  }
}

TEST(HostileDocument, I03ADigestIsAnAlgorithmAndItsHexDigitsOrRefused) {
  const std::string hex(64, 'a');
  for (const std::string& digest :
       {std::string("sha256:../../x"), "sha256:" + std::string(64, 'A'), "sha256:" + hex.substr(1),
        "sha256:" + hex + "a", "SHA256:" + hex, "md5:" + std::string(32, 'a'), hex, "sha256:" + hex + "\n",
        " sha256:" + hex, "sha256:" + std::string(63, 'a') + "/", "sha256:" + std::string(62, 'a') + "..",
        std::string("sha256:"), "sha256::" + hex, "sha256:" + std::string(64, 'g'), "sha256+x:" + hex}) {
    const std::string layer = R"("layers":[)" + Descriptor("application/vnd.oci.image.layer.v1.tar", digest) + "]";
    const auto manifest = ParseManifest(Document(kConfig + "," + layer));
    ASSERT_FALSE(manifest) << digest;
    EXPECT_EQ(manifest.error().code(), ErrorCode::kInvalidArgument) << digest;
    EXPECT_FALSE(ParseReference("app@" + digest)) << digest;
  }
}

TEST(HostileDocument, I14NestingWithoutEndIsRefusedAtOnce) {
  for (const std::string& text : {std::string(1'000'000, '['), [] {
                                    std::string objects;
                                    for (int i = 0; i < 200'000; ++i) objects += R"({"a":)";
                                    return objects;
                                  }()}) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(ParseManifest(text));
    EXPECT_FALSE(ParseIndex(text));
    EXPECT_FALSE(ParseImageConfig(text));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(200));
  }
}

// The table of texts is user_lookup_test.cc's; here no text becomes root that does not say so.
TEST(HostileDocument, R07NoTextIsRootThatDoesNotSaySo) {
  const testing::TempDir directory;
  const auto etc = MakeDirectories(directory.fd(), "etc");
  ASSERT_TRUE(etc);
  ASSERT_TRUE(
      WriteFileAtomic(etc->get(), "passwd",
                      "root:x:0:0::/root:\n1000:x:0:0::/:\n4294967296:x:0:0::/:\n-1:x:0:0::/:\n+5:x:0:0::/:\n"
                      " 5:x:0:0::/:\n0x0:x:0:0::/:\n5abc:x:0:0::/:\n:x:0:0::/:\n1e3:x:0:0::/:\n007:x:0:0::/:\n"));
  ASSERT_TRUE(WriteFileAtomic(etc->get(), "group", "root:x:0:\n1000:x:0:\n4294967296:x:0:\n"));
  int refused = 0;
  for (const std::string user : {"1000", "007", "4294967294", "4294967295", "4294967296", "18446744073709551616",
                                 "-1",   "+5",  " 5",         "5 ",         "0x0",        "5abc",
                                 "1e3",  "-0",  "+0",         "0 ",         " 0",         "0.0",
                                 "\t0",  "0\n"}) {
    for (const std::string& group : {std::string(), std::string(":1000"), std::string(":4294967296")}) {
      const auto found = LookupUser(directory.fd(), user + group);
      if (!found) {
        ++refused;
        EXPECT_EQ(found.error().code(), ErrorCode::kInvalidArgument) << user << group;
        continue;
      }
      // Only what is digits and nothing else is left.
      EXPECT_EQ(user.find_first_not_of("0123456789"), std::string::npos) << user << group;
      EXPECT_NE(found->uid, 0U) << user << group;
      EXPECT_EQ(found->uid, std::stoul(user)) << user << group;
      EXPECT_EQ(found->gid, group.empty() ? 0U : 1000U) << user << group;
    }
  }
  EXPECT_EQ(refused, 17 * 3 + 3) << "of 60 texts";
}

}  // namespace
}  // namespace fermata::overlay
