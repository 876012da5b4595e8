// Who is told what: I-05, I-10 and I-12 of the table of threats, with a spy on every hop.
#include "tests/overlay/registry/registry_fixture.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPassword = "S3cretPassword";
const std::string kBasic = "Basic dXNlcjpTM2NyZXRQYXNzd29yZA==";  // user:S3cretPassword

class Auth : public RegistryTest {
 protected:
  Auth() : image_(MakeImage(1000)) {
    UseServer(registry_);
    ServeImage(registry_, image_);
    LogIn("user", kPassword);
  }
  // The registry wants a bearer token of `realm`; `good` are those that it takes.
  void WantTokens(const std::string& realm, std::vector<std::string> good) {
    const auto guard = [realm, good = std::move(good)](const std::function<FakeAnswer(const FakeRequest&)>& inner) {
      return [realm, good, inner](const FakeRequest& request) {
        for (const std::string& token : good) {
          if (request.Header("authorization") == "Bearer " + token) return inner(request);
        }
        return FakeAnswer{.status = 401,
                          .headers = {{"WWW-Authenticate", "Bearer realm=\"" + realm +
                                                               "\",service=\"reg\",scope=\"repository:app:pull\""}}};
      };
    };
    registry_.On("/v2/app/manifests/latest", guard([this](const FakeRequest&) { return ManifestAnswer(image_); }));
    registry_.On("/v2/app/blobs/" + image_.layer.digest,
                 guard([this](const FakeRequest& request) { return BlobAnswer(request, image_.layer_text); }));
  }
  static FakeHandler TokenServer(const std::string& token, const std::string& authorization) {
    return [=](const FakeRequest& request) {
      if (request.Header("authorization") != authorization) return FakeAnswer{.status = 401};
      return FakeAnswer{.body = R"({"token":")" + token + R"(","expires_in":300})"};
    };
  }
  void WantBasic() {
    registry_.On("/v2/app/manifests/latest", [this](const FakeRequest& request) {
      if (request.Header("authorization") == kBasic) return ManifestAnswer(image_);
      return FakeAnswer{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
    });
  }

  TestImage image_;
  FakeRegistry registry_, other_;
};

TEST_F(Auth, BasicIsSentAfterAChallengeOnly) {
  WantBasic();
  ASSERT_OK(Resolve());
  EXPECT_EQ(registry_.requests()[0].Header("authorization"), "");
  EXPECT_EQ(registry_.requests()[1].Header("authorization"), kBasic);
}

TEST_F(Auth, ATokenIsAskedForOnceAndShared) {
  WantTokens(registry_.url() + "/token", {"T1"});
  registry_.On("/token", TokenServer("T1", kBasic));
  const auto layer = Pull(image_);
  ASSERT_OK(layer);
  ASSERT_OK(Pull(image_));
  EXPECT_EQ(registry_.CountOf("/token"), 1U);
  const auto requests = registry_.requests();
  EXPECT_EQ(requests[1].path, "/token");
  EXPECT_EQ(requests[1].query, "service=reg&scope=repository%3Aapp%3Apull&account=user");
}

TEST_F(Auth, ATokenOfOneIsNotUsedForAnother) {
  WantTokens(registry_.url() + "/token", {"T1"});
  registry_.On("/token", TokenServer("T1", kBasic));
  ASSERT_OK(Resolve());
  LogIn("user", "wrong");
  EXPECT_FAILURE(Resolve(), kFailedPrecondition, "token server " + registry_.host() + ": 401 Unauthorized");
}

TEST_F(Auth, ATokenThatExpiresInTheMiddleIsRenewed) {
  WantTokens(registry_.url() + "/token", {"T1"});
  registry_.On("/token", TokenServer("T1", kBasic));
  const auto found = Resolve();
  ASSERT_OK(found);
  WantTokens(registry_.url() + "/token", {"T2"});
  registry_.On("/token", TokenServer("T2", kBasic));
  const auto layer = ReadLayer(**found, image_);
  ASSERT_OK(layer);
  EXPECT_TRUE(*layer == image_.layer_text);
}

TEST_F(Auth, F14AnEndlessChallengeEnds) {
  WantTokens(registry_.url() + "/token", {});
  registry_.On("/token", TokenServer("T1", kBasic));
  EXPECT_FAILURE(Resolve(), kFailedPrecondition, "registry reg.example: app: fetch manifest latest: 401 Unauthorized");
  EXPECT_EQ(registry_.CountOf("/v2/app/manifests/latest"), 2U);
  EXPECT_EQ(registry_.CountOf("/token"), 1U);
}

TEST_F(Auth, AnIdentityTokenIsExchangedByPost) {
  credentials_.emplace().identity_token = "refresh&me";
  WantTokens(registry_.url() + "/token", {"T1"});
  registry_.On("/token", [](const FakeRequest& request) {
    const std::string expected =
        "grant_type=refresh_token&client_id=fermata&service=reg&scope=repository%3Aapp%3Apull"
        "&refresh_token=refresh%26me";
    if (request.method != "POST" || request.body != expected) return FakeAnswer{.status = 400};
    return FakeAnswer{.body = R"({"access_token":"T1"})"};
  });
  ASSERT_OK(Resolve());
}

TEST_F(Auth, ARegistryTokenIsSentAsItIs) {
  credentials_.emplace().registry_token = "RT";
  WantTokens(registry_.url() + "/token", {"RT"});
  ASSERT_OK(Resolve());
  EXPECT_EQ(registry_.requests().size(), 1U);
}

TEST_F(Auth, CredentialsOfFilesAreUsedWhereTheCallerHasNone) {
  credentials_.reset();
  const auto directory = OpenAt(AT_FDCWD, directory_.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_OK(directory);
  ASSERT_OK(WriteFileAtomic(directory->get(), "auth.json",
                            R"({"auths":{"reg.example":{"username":"user","password":"S3cretPassword"}}})"));
  options_.auth_files = {directory_ / "auth.json"};
  WantBasic();
  ASSERT_OK(Resolve());
}

TEST_F(Auth, F13ATokenServerThatIsDownIsNamed) {
  options_.retries = 1;
  WantTokens(registry_.url() + "/token", {"T1"});
  registry_.On("/token", [](const FakeRequest&) { return FakeAnswer{.status = 503}; });
  EXPECT_FAILURE(Resolve(), kUnavailable,
                 "fetch manifest latest: token server " + registry_.host() + ": 503 Service Unavailable");
  registry_.On("/token", [](const FakeRequest&) { return FakeAnswer{.stall_before_headers = true}; });
  EXPECT_FAILURE(Resolve(), kUnavailable, "token server " + registry_.host() + ": no answer for 400 ms");
}

TEST_F(Auth, I02ATokenAnswerIsBounded) {
  WantTokens(registry_.url() + "/token", {"T1"});
  registry_.On("/token", [](const FakeRequest&) { return FakeAnswer{.body = std::string((1 << 20) + 1, ' ')}; });
  EXPECT_FAILURE(Resolve(), kInvalidArgument, "longer than 1048576 bytes");
}

// By another name it is another place, and another domain.
std::string Stranger(const FakeRegistry& registry) {
  std::string url = registry.url();
  return url.replace(url.find("127.0.0.1"), 9, "localhost");
}

TEST_F(Auth, I05AStrangersTokenServerIsAskedAsNobody) {
  WantTokens(Stranger(other_) + "/token", {"T1"});
  other_.On("/token", TokenServer("T1", ""));
  ASSERT_OK(Resolve());
  EXPECT_EQ(other_.CountOf("/token"), 1U);
  EXPECT_FALSE(other_.Saw(kBasic));
  EXPECT_FALSE(other_.Saw("account"));
}

TEST_F(Auth, I05ATokenServerThatTheHostFileListsIsToldWhoAsks) {
  const std::string stranger = Stranger(other_);
  UseServer(registry_, "token_hosts = [\"" + stranger.substr(7) + "\"]\n");
  WantTokens(stranger + "/token", {"T1"});
  other_.On("/token", TokenServer("T1", kBasic));
  ASSERT_OK(Resolve());
}

TEST_F(Auth, I05ARedirectTakesNothingAlong) {
  UseServer(registry_, "header = { x-secret = \"HeaderSecret\" }\n");
  WantBasic();
  for (const int status : {301, 302, 303, 307, 308}) {
    registry_.On("/v2/app/blobs/" + image_.layer.digest, [&, status](const FakeRequest& request) {
      if (request.Header("authorization") != kBasic) {
        return FakeAnswer{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
      }
      return FakeAnswer{.status = status, .headers = {{"Location", other_.url() + "/cdn?sig=x"}}};
    });
    other_.On("/cdn", [&](const FakeRequest& request) { return BlobAnswer(request, image_.layer_text); });
    const auto layer = Pull(image_);
    ASSERT_OK(layer);
    EXPECT_TRUE(*layer == image_.layer_text);
  }
  EXPECT_EQ(other_.CountOf("/cdn"), 5U);
  EXPECT_FALSE(other_.Saw("Authorization"));
  EXPECT_FALSE(other_.Saw("HeaderSecret"));
  EXPECT_TRUE(registry_.Saw("HeaderSecret"));
}

TEST_F(Auth, I05AChallengeOfAnotherPlaceIsNotAnswered) {
  WantBasic();
  registry_.On("/v2/app/blobs/" + image_.layer.digest, [&](const FakeRequest&) {
    return FakeAnswer{.status = 307, .headers = {{"Location", other_.url() + "/cdn"}}};
  });
  for (const std::string& challenge :
       {std::string("Basic realm=\"r\""), "Bearer realm=\"" + other_.url() + "/token\""}) {
    other_.On("/cdn", [=](const FakeRequest&) {
      return FakeAnswer{.status = 401, .headers = {{"WWW-Authenticate", challenge}}};
    });
    EXPECT_FAILURE(Pull(image_), kFailedPrecondition, "401 Unauthorized");
  }
  EXPECT_FALSE(other_.Saw("Authorization"));
  EXPECT_EQ(other_.CountOf("/token"), 0U);
}

TEST_F(Auth, I05NothingIsTrustedAgainAfterADetour) {
  WantBasic();
  registry_.On("/v2/app/blobs/" + image_.layer.digest, [&](const FakeRequest&) {
    return FakeAnswer{.status = 307, .headers = {{"Location", other_.url() + "/back"}}};
  });
  other_.On("/back", [&](const FakeRequest&) {
    return FakeAnswer{.status = 307, .headers = {{"Location", registry_.url() + "/stolen"}}};
  });
  registry_.On("/stolen", [&](const FakeRequest& request) { return BlobAnswer(request, image_.layer_text); });
  ASSERT_OK(Pull(image_));
  for (const FakeRequest& request : registry_.requests()) {
    EXPECT_TRUE(request.path != "/stolen" || request.Header("authorization").empty());
  }
}

TEST_F(Auth, I05AMirrorNeverSeesTheCredentialsOfTheRegistry) {
  WriteHosts("server = \"" + registry_.url() + "\"\n[host.\"" + other_.url() + "\"]\n");
  WantBasic();
  other_.OnOther([](const FakeRequest&) {
    return FakeAnswer{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
  });
  ASSERT_OK(Resolve());
  EXPECT_EQ(other_.requests().size(), 1U);
  EXPECT_EQ(other_.requests()[0].query, "ns=reg.example");
  EXPECT_FALSE(other_.Saw("Authorization"));
}

TEST_F(Auth, AMirrorHasCredentialsOfItsOwn) {
  WriteHosts("server = \"http://127.0.0.1:1\"\n[host.\"" + registry_.url() +
             "\"]\nauth = { username = \"user\", password = \"S3cretPassword\" }\n");
  LogIn("another", "one");
  WantBasic();
  ASSERT_OK(Resolve());
}

TEST_F(Auth, WhoAsksComesBeforeTheHostFile) {
  UseServer(registry_, "auth = { username = \"of the file\", password = \"x\" }\n");
  WantBasic();
  ASSERT_OK(Resolve());
  credentials_.reset();
  EXPECT_FAILURE(Resolve(), kFailedPrecondition, "401 Unauthorized");
  UseServer(registry_, "auth = { username = \"user\", password = \"S3cretPassword\" }\n");
  ASSERT_OK(Resolve());
}

TEST_F(Auth, I12NoErrorShowsASecret) {
  const auto shows_none = [&](const std::string& text) {
    EXPECT_THAT(text, Not(HasSubstr(kPassword)));
    EXPECT_THAT(text, Not(HasSubstr(kBasic.substr(6))));
    EXPECT_THAT(text, Not(HasSubstr("sig=")));
    EXPECT_THAT(text, Not(HasSubstr("T1")));
  };
  options_.retries = 0;
  // A registry that says back what it was sent, wherever a text could come from.
  for (const int status : {400, 401, 403, 404, 500, 302}) {
    registry_.On("/v2/app/manifests/latest", [=](const FakeRequest& request) {
      const std::string sent = request.Header("authorization");
      if (sent.empty()) return FakeAnswer{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
      return FakeAnswer{.status = status,
                        .headers = {{"Location", "https://user:" + std::string(kPassword) + "@h/?sig=" + sent},
                                    {"WWW-Authenticate", "Bearer realm=\"https://user:S3cretPassword@h/?sig=1\""}},
                        .body = R"({"errors":[{"code":")" + sent + R"(","message":")" + sent + R"("}]})"};
    });
    const auto found = Resolve();
    ASSERT_FALSE(found);
    shows_none(found.error().message());
  }
  registry_.On("/v2/app/manifests/latest", [&](const FakeRequest&) {
    return FakeAnswer{.status = 302, .headers = {{"Location", "http://127.0.0.1:1/?sig=S3cretPassword"}}};
  });
  const auto found = Resolve();
  ASSERT_FALSE(found);
  shows_none(found.error().message());
}

TEST_F(Auth, CheckLoginTellsGoodFromBad) {
  registry_.On("/v2/", [](const FakeRequest& request) {
    if (request.Header("authorization") == kBasic) return FakeAnswer{};
    return FakeAnswer{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
  });
  ASSERT_OK(client().CheckLogin("reg.example", *credentials_, cancellation_));
  ASSERT_OK(client().CheckLogin("https://reg.example/v2/", *credentials_, cancellation_));
  LogIn("user", "wrong");
  EXPECT_FAILURE(client().CheckLogin("reg.example", *credentials_, cancellation_), kFailedPrecondition,
                 "registry reg.example: log in: 401 Unauthorized");
  EXPECT_FAILURE(client().CheckLogin("../x", *credentials_, cancellation_), kInvalidArgument, "parse URL");
}

TEST(CredentialsMemory, IsOverwritten) {
  alignas(Credentials) unsigned char place[sizeof(Credentials)];
  auto* credentials = new (place) Credentials();
  credentials->password = "short1";  // within the object itself, so that it may be looked at afterwards
  credentials->~Credentials();
  const std::string left(reinterpret_cast<const char*>(place), sizeof place);
  EXPECT_THAT(left, Not(HasSubstr("short1")));
}

}  // namespace
}  // namespace fermata::overlay::testing
