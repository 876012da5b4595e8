#include "overlay/registry/challenge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fermata::overlay {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Shown(const std::string& header) {
  std::string shown;
  for (const Challenge& challenge : ParseChallenges(header)) {
    shown += challenge.scheme == Challenge::Scheme::kBearer ? "bearer" : "basic";
    shown += "(" + challenge.realm + "|" + challenge.service + "|" + challenge.scope + ")";
  }
  return shown;
}

TEST(Challenge, ReadsWhatRegistriesSend) {
  const std::pair<const char*, const char*> rows[] = {
      {R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull")",
       "bearer(https://auth.docker.io/token|registry.docker.io|repository:a/b:pull)"},
      {R"(bearer REALM="https://a/t" , Service = "s")", "bearer(https://a/t|s|)"},
      {R"(Basic realm="Registry Realm")", "basic(Registry Realm||)"},
      {"Basic", "basic(||)"},
      {R"(Negotiate, Basic realm="a, b")", "basic(a, b||)"},
      {R"(Digest realm="no", nonce="x", Bearer realm="https://a/t")", "bearer(https://a/t||)"},
      {R"(Basic realm="a", Bearer realm="https://b/t",error="invalid_token")", "basic(a||)bearer(https://b/t||)"},
      {R"(Bearer realm=https://a/t,service=s)", "bearer(https://a/t|s|)"},
      {R"(Bearer realm="a\"b\\c")", R"(bearer(a"b\c||))"},
      {R"(Bearer realm="first",realm="second")", "bearer(first||)"},
      {R"(Bearer realm="open)", "bearer(||)"},
      {R"(Bearer realm="open\)", "bearer(||)"},
      {"Bearer realm=\"a\r\nb\"", "bearer(||)"},
      {"", ""},
      {",,, ,", ""},
      {"=", ""},
      {R"("quoted")", ""},
  };
  for (const auto& [header, shown] : rows) EXPECT_EQ(Shown(header), shown) << header;
}

TEST(Challenge, IsBounded) {
  EXPECT_THAT(ParseChallenges(std::string(20000, 'a')), IsEmpty());
  std::string many;
  for (int i = 0; i < 100; ++i) many += "Basic, ";
  EXPECT_THAT(ParseChallenges(many), SizeIs(16));
  EXPECT_EQ(Shown("Bearer realm=\"" + std::string(1025, 'a') + "\""), "bearer(||)");
}

}  // namespace
}  // namespace fermata::overlay
