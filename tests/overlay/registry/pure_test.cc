// URLs, ranges, dates, tokens: the small pure parsers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "overlay/registry/content_range.h"
#include "overlay/registry/retry.h"
#include "overlay/registry/token.h"
#include "overlay/registry/url.h"

namespace fermata::overlay {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

TEST(Url, IsReadAndPrinted) {
  const std::pair<const char*, const char*> rows[] = {
      {"https://Reg.Example/v2/a?b=c#d", "https://reg.example/v2/a?b=c"},
      {"HTTP://reg.example:80/", "http://reg.example/"},
      {"https://reg.example:443", "https://reg.example"},
      {"https://reg.example:8443/x", "https://reg.example:8443/x"},
      {"https://[::1]:5000/x", "https://[::1]:5000/x"},
      {"http://127.0.0.1:1?q", "http://127.0.0.1:1?q"},
  };
  for (const auto& [text, printed] : rows) {
    const auto url = ParseUrl(text);
    ASSERT_TRUE(url) << text;
    EXPECT_EQ(url->ToString(), printed);
  }
}

TEST(Url, RefusesWhatTwoParsersReadInTwoWays) {
  for (const char* text : {"",
                           "reg.example",
                           "//reg.example",
                           "ftp://reg.example",
                           "file:///etc/passwd",
                           "https://",
                           "https:///x",
                           "https://user@reg.example",
                           "https://user:pw@reg.example",
                           "https://a@b@c",
                           "https://reg.example:0",
                           "https://reg.example:65536",
                           "https://reg.example:",
                           "https://reg.example:1x",
                           "https://reg example/",
                           "https://reg.example\\@evil/",
                           "https://reg.example/\r\nX: y",
                           "https://a..b",
                           "https://.a",
                           "https://[::1",
                           "https://[]",
                           "https://a]b",
                           "https://a%2eb/",
                           "https://[::1]x",
                           "gopher://x",
                           "https://a,b",
                           "javascript://x"}) {
    EXPECT_FALSE(ParseUrl(text)) << text;
  }
  EXPECT_FALSE(ParseUrl("https://a/" + std::string(9000, 'x')));
}

TEST(Url, LocationsAreAbsoluteOrRelative) {
  const Url base = ParseUrl("https://reg.example/v2/a/blobs/x?ns=y").value();
  const std::pair<const char*, const char*> rows[] = {
      {"https://other.example/z", "https://other.example/z"},
      {"http://other.example/z", "http://other.example/z"},
      {"//other.example/z", "https://other.example/z"},
      {"/z?q=1", "https://reg.example/z?q=1"},
      {"z", "https://reg.example/v2/a/blobs/z"},
      {"?q", "https://reg.example/v2/a/blobs/x?q"},
      {"/z?u=https://evil/", "https://reg.example/z?u=https://evil/"},
  };
  for (const auto& [location, printed] : rows) {
    const auto url = ResolveUrl(base, location);
    ASSERT_TRUE(url) << location;
    EXPECT_EQ(url->ToString(), printed);
  }
  for (const char* bad : {"", "https://u@evil/", "ftp://x/", "/a b", "/a\nb"})
    EXPECT_FALSE(ResolveUrl(base, bad)) << bad;
}

TEST(Url, TextsHideTheQuery) {
  const auto url = ParseUrl("https://a.example/b?X-Amz-Signature=secret");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->Redacted(), "https://a.example/b?...");
  const auto bad = ParseUrl("https://user:secret@a.example/");
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message(), Not(HasSubstr("secret")));
}

TEST(Url, KnowsWhoSharesADomain) {
  struct Row {
    const char *registry, *host;
    bool shares;
  };
  for (const Row& row :
       {Row{"registry-1.docker.io", "auth.docker.io", true}, Row{"quay.io", "quay.io", true},
        Row{"registry.gitlab.com", "gitlab.com", true}, Row{"ghcr.io", "token.ghcr.io", true},
        Row{"a.b.example.co.uk", "auth.example.co.uk", true}, Row{"127.0.0.1", "127.0.0.1", true},
        Row{"registry-1.docker.io", "evil.io", false}, Row{"registry-1.docker.io", "docker.io.evil.example", false},
        Row{"registry-1.docker.io", "evildocker.io", false}, Row{"a.co.uk", "b.co.uk", false},
        Row{"a.com", "b.com", false}, Row{"one.azurecr.io", "two.azurecr.io", false},
        Row{"one.azurecr.io", "azurecr.io", false},
        Row{"1.dkr.ecr.eu.amazonaws.com", "2.dkr.ecr.eu.amazonaws.com", false}, Row{"10.0.0.1", "10.0.0.2", false},
        Row{"1.0.0.1", "2.0.0.1", false}, Row{"localhost", "other", false}, Row{"registry", "auth.registry", false}}) {
    EXPECT_EQ(SharesDomain(row.registry, row.host), row.shares) << row.registry << " " << row.host;
  }
}

TEST(ContentRange, IsReadStrictly) {
  const auto range = ParseContentRange("bytes 5-9/10");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 5U);
  EXPECT_EQ(range->last, 9U);
  EXPECT_EQ(range->total, 10U);
  EXPECT_FALSE(ParseContentRange("bytes 5-9/*")->total);
  for (const char* bad : {"", "bytes", "bytes 9-5/10", "bytes -5-9/10", "bytes 5-/10", "bytes */10", "bits 5-9/10",
                          "bytes 5-9", "bytes 5-9/x", "bytes 5/9-10", "bytes 99999999999999999999-5/6"}) {
    EXPECT_FALSE(ParseContentRange(bad)) << bad;
  }
}

TEST(RetryAfter, IsSecondsOrADateAndNeverOverFiveMinutes) {
  const std::chrono::seconds now(784111777);  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(ParseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT"), now);
  EXPECT_EQ(ParseRetryAfter("1", now), 1s);
  EXPECT_EQ(ParseRetryAfter(" 120 ", now), 120s);
  EXPECT_EQ(ParseRetryAfter("0", now), 0s);
  EXPECT_EQ(ParseRetryAfter("86400", now), 5min);
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:47 GMT", now), 10s);
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:00:00 GMT", now), 0s);
  EXPECT_EQ(ParseRetryAfter("Mon, 07 Nov 1994 08:00:00 GMT", now), 5min);
  for (const char* garbage :
       {"", "soon", "-1", "1.5", "99999999999999999999", "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"}) {
    EXPECT_FALSE(ParseRetryAfter(garbage, now)) << garbage;
  }
}

TEST(RetryDelay, IsAnythingBelowADoublingLimit) {
  for (unsigned attempt = 0; attempt < 80; ++attempt) {
    const auto delay = RetryDelay(500ms, attempt);
    EXPECT_GE(delay, 0ms);
    EXPECT_LE(delay, std::min<std::chrono::milliseconds>(30s, 500ms * (1LL << std::min(attempt, 16U))));
  }
}

TEST(Token, IsReadFromBothNames) {
  const auto now = std::chrono::steady_clock::now();
  const auto token = ParseTokenAnswer(R"({"token":"abc","expires_in":300})", now);
  ASSERT_TRUE(token);
  EXPECT_EQ(token->value.registry_token, "abc");
  EXPECT_EQ(token->expires, now + 290s);
  EXPECT_EQ(ParseTokenAnswer(R"({"access_token":"abc"})", now)->expires, now + 50s);
  EXPECT_EQ(ParseTokenAnswer(R"({"token":"abc","expires_in":99999999999})", now)->expires, now + 24h - 10s);
}

TEST(Token, GarbageIsRefusedAndNotQuoted) {
  for (const char* bad : {"", "secret", "[]", R"({"token":5})", R"({"token":""})", R"({"token":"secret\r\nX: y"})",
                          R"({"token":"secret secret"})"}) {
    const auto token = ParseTokenAnswer(bad, {});
    ASSERT_FALSE(token) << bad;
    EXPECT_THAT(token.error().message(), Not(HasSubstr("secret")));
  }
}

TEST(Token, IsKeptForWhoAskedForIt) {
  TokenRequest request;
  request.realm = ParseUrl("https://auth.example/token").value();
  const std::string nobody = request.Key();
  request.credentials.emplace().username = "a";
  request.credentials->password = "bc";
  const std::string one = request.Key();
  request.credentials->username = "ab";
  request.credentials->password = "c";
  EXPECT_NE(one, nobody);
  EXPECT_NE(one, request.Key());
  EXPECT_THAT(one, Not(HasSubstr("bc\n")));
}

TEST(Credentials, BasicIsBase64OfBoth) {
  Credentials credentials;
  credentials.username = "Aladdin";
  credentials.password = "open sesame";
  EXPECT_EQ(BasicAuthorization(credentials), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

}  // namespace
}  // namespace fermata::overlay
