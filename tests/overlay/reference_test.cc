#include "overlay/image/reference.h"

#include <gtest/gtest.h>

namespace fermata::overlay {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

struct Good {
  std::string text;
  std::string whole;
  std::string familiar;
};

TEST(Reference, GivesNamesTheirFullForm) {
  const Good table[] = {
      {"busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"},
      {"library/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"user/app", "docker.io/user/app:latest", "user/app:latest"},
      {"library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
      {"localhost/app", "localhost/app:latest", "localhost/app:latest"},
      {"localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"},
      {"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
      {"registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"},
      {"quay.io/a/b/c:v1", "quay.io/a/b/c:v1", "quay.io/a/b/c:v1"},
      {"UPPER/app", "UPPER/app:latest", "UPPER/app:latest"},
      {"Reg.example/app", "Reg.example/app:latest", "Reg.example/app:latest"},
      {"127.0.0.1/app", "127.0.0.1/app:latest", "127.0.0.1/app:latest"},
      {"[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"},
      {"[fe80::1]/app:x", "[fe80::1]/app:x", "[fe80::1]/app:x"},
      {"a.b/c__d", "a.b/c__d:latest", "a.b/c__d:latest"},
      {"a.b/c---d", "a.b/c---d:latest", "a.b/c---d:latest"},
      {"a.b/c.d_e-f", "a.b/c.d_e-f:latest", "a.b/c.d_e-f:latest"},
      {"app:UPPER_tag.1-2", "docker.io/library/app:UPPER_tag.1-2", "app:UPPER_tag.1-2"},
      {"app:" + std::string(128, 't'), "docker.io/library/app:" + std::string(128, 't'),
       "app:" + std::string(128, 't')},
      {"app@" + kDigest, "docker.io/library/app@" + kDigest, "app@" + kDigest},
      {"app:1@" + kDigest, "docker.io/library/app:1@" + kDigest, "app:1@" + kDigest},
      {"r.io:1/app@" + kDigest, "r.io:1/app@" + kDigest, "r.io:1/app@" + kDigest},
      {"app@sha512:" + std::string(128, '0'), "docker.io/library/app@sha512:" + std::string(128, '0'),
       "app@sha512:" + std::string(128, '0')},
      {std::string(63, 'a'), "docker.io/library/" + std::string(63, 'a') + ":latest", std::string(63, 'a') + ":latest"},
  };
  for (const Good& row : table) {
    const auto reference = ParseReference(row.text);
    ASSERT_TRUE(reference) << row.text << ": " << reference.error().message();
    EXPECT_EQ(reference->ToString(), row.whole) << row.text;
    EXPECT_EQ(reference->Familiar(), row.familiar) << row.text;
    EXPECT_EQ(ParseReference(row.whole)->ToString(), row.whole) << "is stable";
  }
}

TEST(Reference, ANameThatWouldBeAnotherOneWithoutItsDomainIsNotShortened) {
  for (const char* text : {"docker.io/localhost/app:latest", "docker.io/a.b/c:latest"}) {
    const auto reference = ParseReference(text);
    ASSERT_TRUE(reference) << text;
    EXPECT_EQ(reference->Familiar(), text);
  }
  const auto like_an_id = ParseReference("docker.io/library/sha256:" + kHex);
  ASSERT_TRUE(like_an_id);
  EXPECT_EQ(like_an_id->Familiar(), "library/sha256:" + kHex);
}

TEST(Reference, TagStaysEmptyBesideADigest) {
  const auto reference = ParseReference("app@" + kDigest);
  ASSERT_TRUE(reference);
  EXPECT_EQ(reference->tag, "");
  EXPECT_EQ(reference->Tagged(), "");
  EXPECT_EQ(reference->Digested(), "docker.io/library/app@" + kDigest);
}

TEST(Reference, RefusesWhatIsNone) {
  const std::string table[] = {
      "",
      " ",
      "busybox ",
      "Busybox",
      "docker.io/Busybox",
      "a.b/Upper",
      "../..",
      "/busybox",
      "busybox/",
      "a//b",
      "a/./b",
      "a/../b",
      "-a",
      "a-",
      "a..b",
      "a___b",
      "a._b",
      "app:",
      "app:-x",
      "app:.x",
      "app:a b",
      "app:" + std::string(129, 't'),
      "app@",
      "app@sha256:abc",
      "app@sha256:" + std::string(64, 'A'),
      "app@sha256:" + kHex + "0",
      "app@md5:" + std::string(32, 'a'),
      "app@sha256:../../x",
      kHex,
      kDigest,
      "reg.io:x/app",
      "reg.io:/app",
      "-reg.io/app",
      "reg..io/app",
      "r_g.io/app",
      "[::1/app",
      "[zz]/app",
      std::string("a\0b", 3),
      "a\nb",
      "\xc3\xa9",
      std::string(300, 'a'),
      "x/" + std::string(5000, 'a'),
      "app:1:2",
  };
  for (const std::string& text : table) {
    const auto reference = ParseReference(text);
    ASSERT_FALSE(reference) << text << " became " << reference->ToString();
    EXPECT_EQ(reference.error().code(), ErrorCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace fermata::overlay
