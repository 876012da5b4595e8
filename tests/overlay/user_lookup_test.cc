#include "overlay/user_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/overlay/temp_dir.h"

namespace fermata::overlay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class UserLookup : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::mkdirat(dir_.fd(), "etc", 0755), 0); }
  void Write(const std::string& passwd, const std::string& group) const {
    const auto etc = OpenAt(dir_.fd(), "etc", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(WriteFileAtomic(etc->get(), "passwd", passwd));
    ASSERT_TRUE(WriteFileAtomic(etc->get(), "group", group));
  }
  void WriteUsual() const {
    Write(
        "root:x:0:0:root:/root:/bin/sh\n"
        "# a comment\n"
        "\n"
        "broken\n"
        "www:x:33:33:www:/var/www:/sbin/nologin\n"
        "www:x:44:44::/second:/bin/sh\n"
        "4000000000:x:0:0:a number:/root:/bin/sh\n"
        "1234:x:0:0:a number:/root:/bin/sh\n"
        "nohome:x:50:51:::\n"
        "relative:x:52:52::home:\n"
        "bad_uid:x:abc:1::/:\n"
        "big_uid:x:4294967295:1::/:\n"
        "minus:x:-1:1::/:\n"
        "last:x:99:98::/home/last:/bin/sh",
        "root:x:0:root\n"
        "www:x:33:\n"
        "video:x:44:www,root\n"
        "audio:x:29:root,www\n"
        "twice:x:29:www\n"
        "99:x:7:\n"
        "bad_gid:x:zzz:www\n"
        "users:x:100:wwww,xwww");
  }
  [[nodiscard]] Result<ResolvedUser> Lookup(std::string_view text) const { return LookupUser(dir_.fd(), text); }

  testing::TempDir dir_;
};

TEST_F(UserLookup, ResolvesNumbersAndNames) {
  WriteUsual();
  struct Row {
    std::string_view text;
    uint32_t uid, gid;
    std::string home, name;
  };
  const Row table[] = {
      {"", 0, 0, "/root", "root"},
      {"root", 0, 0, "/root", "root"},
      {"0", 0, 0, "/root", "root"},
      {"00", 0, 0, "/root", "root"},
      {"www", 33, 33, "/var/www", "www"},
      {"33", 33, 33, "/var/www", "www"},
      {"44", 44, 44, "/second", "www"},
      {"www:www", 33, 33, "/var/www", "www"},
      {"www:0", 33, 0, "/var/www", "www"},
      {"www:root", 33, 0, "/var/www", "www"},
      {"33:root", 33, 0, "/var/www", "www"},
      {"33:99", 33, 99, "/var/www", "www"},
      {"1234", 1234, 0, "/", ""},
      {"1234:5678", 1234, 5678, "/", ""},
      {"1234:video", 1234, 44, "/", ""},
      {"4000000000", 4000000000, 0, "/", ""},
      {"4294967294:4294967294", 4294967294, 4294967294, "/", ""},
      {"nohome", 50, 51, "/", "nohome"},
      {"relative", 52, 52, "/", "relative"},
      {"last", 99, 98, "/home/last", "last"},
  };
  for (const Row& row : table) {
    const auto user = Lookup(row.text);
    ASSERT_TRUE(user) << row.text << ": " << user.error().message();
    EXPECT_EQ(user->uid, row.uid) << row.text;
    EXPECT_EQ(user->gid, row.gid) << row.text;
    EXPECT_EQ(user->home, row.home) << row.text;
    EXPECT_EQ(user->name, row.name) << row.text;
  }
}

TEST_F(UserLookup, RefusesAmbiguousTextAndUnknownNames) {
  WriteUsual();
  const std::string_view table[] = {
      "nobody",
      "+5",
      "-1",
      " 5",
      "5 ",
      "0x0",
      "5abc",
      "4294967295",
      "4294967296",
      "99999999999999999999",
      "root:",
      ":root",
      ":",
      "root:+0",
      "root:-1",
      "root: 0",
      "root:0x0",
      "root:4294967295",
      "root:nogroup",
      "root:0:0",
      "root::0",
      "a/b",
      "../root",
      "root\n",
      "r\xc3\xb6ot",
      "bad_uid",
      "big_uid",
      "minus",
      "www:bad_gid",
      "1e3",
      "0.0",
      "#0",
      "broken",
  };
  for (const std::string_view text : table) {
    const auto user = Lookup(text);
    ASSERT_FALSE(user) << text << " became " << user->uid << ":" << user->gid;
    EXPECT_EQ(user.error().code(), ErrorCode::kInvalidArgument) << text;
  }
  EXPECT_THAT(Lookup("nobody").error().message(), HasSubstr("not in /etc/passwd of the image"));
}

TEST_F(UserLookup, ListsMembershipsOnceAndWithoutThePrimaryGroup) {
  WriteUsual();
  EXPECT_THAT(Lookup("www")->additional_gids, ElementsAre(29, 44));
  EXPECT_THAT(Lookup("33:44")->additional_gids, ElementsAre(29));
  EXPECT_THAT(Lookup("root")->additional_gids, ElementsAre(29, 44));
  EXPECT_THAT(Lookup("1234")->additional_gids, IsEmpty());
}

TEST_F(UserLookup, NumbersNeedNoFiles) {
  const auto user = Lookup("7:8");
  ASSERT_TRUE(user);
  EXPECT_EQ(user->uid, 7U);
  EXPECT_EQ(user->gid, 8U);
  EXPECT_EQ(Lookup("")->uid, 0U);
  EXPECT_FALSE(Lookup("root"));
}

TEST_F(UserLookup, RefusesSpecialAndEndlessFiles) {
  WriteUsual();
  ASSERT_EQ(::unlinkat(dir_.fd(), "etc/passwd", 0), 0);
  ASSERT_EQ(::mkfifoat(dir_.fd(), "etc/passwd", 0644), 0);
  EXPECT_THAT(Lookup("root").error().message(), HasSubstr("not a regular file"));
  ASSERT_EQ(::unlinkat(dir_.fd(), "etc/passwd", 0), 0);
  ASSERT_EQ(::mkdirat(dir_.fd(), "etc/passwd", 0755), 0);
  EXPECT_FALSE(Lookup("0"));
  ASSERT_EQ(::unlinkat(dir_.fd(), "etc/passwd", AT_REMOVEDIR), 0);
  ASSERT_TRUE(OpenAt(dir_.fd(), "etc/passwd", O_WRONLY | O_CREAT, 0644));
  ASSERT_EQ(::truncate((dir_.path() + "/etc/passwd").c_str(), off_t{10} << 30), 0);
  EXPECT_THAT(Lookup("root").error().message(), HasSubstr("larger than 10 MiB"));
}

TEST_F(UserLookup, RefusesLongLinesAndTooManyGroups) {
  Write(std::string(70'000, 'a'), "");
  EXPECT_THAT(Lookup("root").error().message(), HasSubstr("line"));
  std::string groups;
  for (int i = 0; i < 70'000; ++i) groups += "g:x:1:\n";
  Write("root:x:0:0::/:", groups);
  EXPECT_THAT(Lookup("root").error().message(), HasSubstr("groups"));
}

TEST_F(UserLookup, LinksStayInTheRoot) {
  Write("", "");
  ASSERT_EQ(::unlinkat(dir_.fd(), "etc/passwd", 0), 0);
  ASSERT_TRUE(WriteFileAtomic(dir_.fd(), "users", "inside:x:5:6::/in:"));
  ASSERT_EQ(::symlinkat("/users", dir_.fd(), "etc/passwd"), 0);
  EXPECT_EQ(Lookup("inside")->uid, 5U);
  ASSERT_EQ(::unlinkat(dir_.fd(), "etc/passwd", 0), 0);
  ASSERT_EQ(::symlinkat("../../../../../../etc/passwd", dir_.fd(), "etc/passwd"), 0);
  EXPECT_FALSE(Lookup("root")) << "a link to itself, seen from the root";
}

}  // namespace
}  // namespace fermata::overlay
