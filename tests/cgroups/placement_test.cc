#include "cgroups/placement.h"

#include <gtest/gtest.h>

#include "tests/cgroups/fake_group.h"

namespace fermata::cgroups {
namespace {

constexpr char kFallback[] = "/fermata/pods";

TEST(NormalizeParent, TakesKubeletsPathAsBelowTheMount) {
  const auto parent = NormalizeParent("/kubepods/burstable/pod3f1c-9a", kFallback);
  ASSERT_TRUE(Succeeded(parent));
  EXPECT_EQ(*parent, "kubepods/burstable/pod3f1c-9a");
  EXPECT_EQ(*NormalizeParent("kubepods/besteffort", kFallback), "kubepods/besteffort");
}

TEST(NormalizeParent, GivesTheFallbackForNone) { EXPECT_EQ(*NormalizeParent("", kFallback), "fermata/pods"); }

TEST(NormalizeParent, RefusesWhatCouldLeadElsewhere) {
  using namespace std::string_view_literals;
  const std::string_view refused[] = {"/",     "..",     "/../x", "/a/../b", "/a/./b", "a//b",     "/a/",       "//a",
                                      "/a/..", "a\0b"sv, "/a\nb", "/a/\x7f", "/a/b\t", "/a/b/../", "/kubepods/"};
  for (const std::string_view text : refused) {
    EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, NormalizeParent(text, kFallback)));
  }
}

TEST(NormalizeParent, AllowsDotsThatArePartOfAName) { EXPECT_EQ(*NormalizeParent("/a..b/...", ""), "a..b/..."); }

TEST(NormalizeParent, RefusesWhatTheKernelCouldNotHold) {
  EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, NormalizeParent("/" + std::string(256, 'a'), "")));
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "/abcd";
  EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, NormalizeParent(deep, "")));
  EXPECT_TRUE(Succeeded(NormalizeParent("/" + std::string(255, 'a'), "")));
}

TEST(NormalizeParent, HoldsTheFallbackToTheSameRules) {
  EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, NormalizeParent("", "")));
  EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, NormalizeParent("", "/x/..")));
}

TEST(JoinGroup, PutsTheIdBelowTheParent) { EXPECT_EQ(*JoinGroup("kubepods/pod1", "abc"), "kubepods/pod1/abc"); }

TEST(JoinGroup, TakesOneNameOnly) {
  for (const char* id : {"", ".", "..", "a/b", "/", "a\n"}) {
    EXPECT_TRUE(FailsWith(ErrorCode::kInvalidArgument, JoinGroup("p", id)));
  }
}

}  // namespace
}  // namespace fermata::cgroups
