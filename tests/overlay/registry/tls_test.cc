// TLS, plain http and mirrors: I-10 and the rest of F-13.
#include "tests/overlay/registry/registry_fixture.h"

namespace fermata::overlay::testing {
namespace {

class Tls : public RegistryTest {
 protected:
  Tls() : image_(MakeImage(3000000)), certificate_(MakeTestCertificate("IP:127.0.0.1")) {
    options_.retries = 1;
    WriteFile("ca.pem", certificate_.ca_pem);
  }
  void WriteFile(const std::string& name, const std::string& text) {
    const auto directory = OpenAt(AT_FDCWD, directory_.path(), O_RDONLY | O_DIRECTORY);
    ASSERT_OK(directory);
    ASSERT_OK(WriteFileAtomic(directory->get(), name, text));
  }
  // I-10: an error, and not a byte of a request in the clear.
  void ExpectNoTrust(FakeRegistry& registry, const std::string& more, const char* text) {
    ServeImage(registry, image_);
    UseServer(registry, more);
    EXPECT_FAILURE(Resolve(), kUnavailable, text);
    EXPECT_EQ(registry.bytes_received(), 0U);
  }
  std::string Trust() const { return "ca = \"" + directory_.path() + "/ca.pem\"\n"; }

  TestImage image_;
  TestCertificate certificate_;
};

TEST_F(Tls, AnAuthorityOfTheHostFileIsTrusted) {
  FakeRegistry registry(FakeRegistry::Tls::kModern, certificate_);
  ServeImage(registry, image_);
  UseServer(registry, "ca = [\"../ca.pem\"]\n");
  const auto layer = Pull(image_);
  ASSERT_OK(layer);
  EXPECT_TRUE(*layer == image_.layer_text);
}

TEST_F(Tls, F12SurvivesCutsOfTls) {
  FakeRegistry registry(FakeRegistry::Tls::kModern, certificate_);
  image_ = MakeImage(100000);
  ServeImage(registry, image_);
  UseServer(registry, Trust());
  for (size_t i = 0; i < 20; ++i) {
    const FakeAnswer cut{.body = image_.layer_text,
                         .cut_after = i * 5000,
                         .end = i % 2 == 0 ? FakeAnswer::End::kFin : FakeAnswer::End::kReset};
    registry.On("/v2/app/blobs/" + image_.layer.digest,
                [this, cut, count = std::make_shared<std::atomic<int>>(0)](const FakeRequest& request) {
                  return count->fetch_add(1) == 0 ? cut : BlobAnswer(request, image_.layer_text);
                });
    const auto layer = Pull(image_);
    ASSERT_OK(layer);
    EXPECT_TRUE(*layer == image_.layer_text);
  }
}

TEST_F(Tls, SkipVerifyIsForTheHostThatHasIt) {
  FakeRegistry registry(FakeRegistry::Tls::kModern, certificate_);
  FakeRegistry elsewhere(FakeRegistry::Tls::kModern, MakeTestCertificate("IP:127.0.0.1"));
  ServeImage(registry, image_);
  UseServer(registry, "skip_verify = true\n");
  ASSERT_OK(Pull(image_));
  registry.On("/v2/app/blobs/" + image_.layer.digest, [&](const FakeRequest&) {
    return FakeAnswer{.status = 307, .headers = {{"Location", elsewhere.url() + "/cdn"}}};
  });
  EXPECT_FAILURE(Pull(image_), kUnavailable, "TLS: ");
  EXPECT_EQ(elsewhere.bytes_received(), 0U);
}

TEST_F(Tls, I10AnUnknownAuthorityIsFinal) {
  FakeRegistry registry(FakeRegistry::Tls::kModern, certificate_);
  ExpectNoTrust(registry, "", "TLS: SSL certificate problem");
}

TEST_F(Tls, I10AnExpiredCertificateIsFinal) {
  certificate_ = MakeTestCertificate("IP:127.0.0.1", -60);
  WriteFile("ca.pem", certificate_.ca_pem);
  FakeRegistry registry(FakeRegistry::Tls::kModern, certificate_);
  ExpectNoTrust(registry, Trust(), "certificate has expired");
}

TEST_F(Tls, I10ACertificateForAnotherHostIsFinal) {
  certificate_ = MakeTestCertificate("DNS:other.example");
  WriteFile("ca.pem", certificate_.ca_pem);
  FakeRegistry registry(FakeRegistry::Tls::kModern, certificate_);
  ExpectNoTrust(registry, Trust(), "TLS: ");
}

TEST_F(Tls, I10OldTlsIsRefused) {
  FakeRegistry registry(FakeRegistry::Tls::kOld, certificate_);
  ExpectNoTrust(registry, Trust(), "");
}

TEST_F(Tls, I10AServerThatSpeaksPlainHttpGetsNoRequest) {
  options_.connect_timeout = std::chrono::milliseconds(200);
  FakeRegistry registry;
  ServeImage(registry, image_);
  WriteHosts("server = \"https://" + registry.host() + "\"\n");
  const auto found = Resolve();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(registry.requests().size(), 0U);
}

TEST_F(Tls, I10NoHostIsAskedByPlainHttpBecauseItIsLocal) {
  options_.connect_timeout = std::chrono::milliseconds(200);
  FakeRegistry registry;
  ServeImage(registry, image_);
  ASSERT_FALSE(Resolve(registry.host() + "/app"));
  EXPECT_EQ(registry.requests().size(), 0U);
}

TEST_F(Tls, I05ARedirectFromHttpsToHttpIsRefused) {
  FakeRegistry registry(FakeRegistry::Tls::kModern, certificate_);
  FakeRegistry plain;
  ServeImage(registry, image_);
  UseServer(registry, Trust());
  registry.On("/v2/app/blobs/" + image_.layer.digest, [&](const FakeRequest&) {
    return FakeAnswer{.status = 307, .headers = {{"Location", plain.url() + "/cdn"}}};
  });
  EXPECT_FAILURE(Pull(image_), kInvalidArgument, "redirect: from https to http");
  EXPECT_EQ(plain.bytes_received(), 0U);
}

TEST_F(Tls, I05ATokenServerByPlainHttpIsRefused) {
  FakeRegistry registry(FakeRegistry::Tls::kModern, certificate_);
  FakeRegistry plain;
  UseServer(registry, Trust());
  registry.OnOther([&](const FakeRequest&) {
    return FakeAnswer{.status = 401, .headers = {{"WWW-Authenticate", "Bearer realm=\"" + plain.url() + "/token\""}}};
  });
  LogIn("user", "password");
  EXPECT_FAILURE(Resolve(), kFailedPrecondition, "sends for a token by plain http");
  EXPECT_EQ(plain.bytes_received(), 0U);
}

class Mirrors : public RegistryTest {
 protected:
  Mirrors() : image_(MakeImage()) {
    options_.retries = 1;
    ServeImage(origin_, image_);
  }
  void UseMirrors(const std::vector<std::string>& urls, const std::string& settings = "") {
    std::string text = "server = \"" + origin_.url() + "\"\n";
    for (const std::string& url : urls) text += "[host.\"" + url + "\"]\n" + settings;
    WriteHosts(text);
  }

  TestImage image_;
  FakeRegistry origin_, mirror_;
};

TEST_F(Mirrors, TheFirstThatHasItServesAll) {
  ServeImage(mirror_, image_);
  UseMirrors({mirror_.url()});
  ASSERT_OK(Pull(image_));
  EXPECT_EQ(origin_.requests().size(), 0U);
  EXPECT_EQ(mirror_.requests()[0].query, "ns=reg.example");
}

TEST_F(Mirrors, F13ADeadOneIsPassedOver) {
  UseMirrors({"http://127.0.0.1:1"});
  ASSERT_OK(Pull(image_));
}

TEST_F(Mirrors, F13OneThatAnswersBadlyIsPassedOver) {
  UseMirrors({mirror_.url()});
  for (const int status : {401, 403, 404, 429, 500, 503}) {
    mirror_.OnOther([=](const FakeRequest&) { return FakeAnswer{.status = status}; });
    ASSERT_OK(Pull(image_));
  }
  EXPECT_EQ(mirror_.CountOf("/v2/app/manifests/latest"), 6U);
  mirror_.OnOther([](const FakeRequest&) { return FakeAnswer{.stall_before_headers = true}; });
  ASSERT_OK(Pull(image_));
  mirror_.OnOther([](const FakeRequest&) { return FakeAnswer{.body = "<html>"}; });
  ASSERT_OK(Pull(image_));
}

TEST_F(Mirrors, ABlobThatOneLacksComesFromTheNext) {
  mirror_.On("/v2/app/manifests/latest", [&](const FakeRequest&) { return ManifestAnswer(image_); });
  UseMirrors({mirror_.url()});
  const auto layer = Pull(image_);
  ASSERT_OK(layer);
  EXPECT_TRUE(*layer == image_.layer_text);
}

TEST_F(Mirrors, F14NobodyWaitsForOneWhileThereIsAnother) {
  ServeImage(mirror_, image_);
  mirror_.On("/v2/app/blobs/" + image_.layer.digest, [](const FakeRequest&) {
    return FakeAnswer{.status = 429, .headers = {{"Retry-After", "120"}}};
  });
  UseMirrors({mirror_.url()});
  ASSERT_OK(Pull(image_));
}

TEST_F(Mirrors, OneThatMayNotResolveStillServesBlobs) {
  ServeImage(mirror_, image_);
  UseMirrors({mirror_.url()}, "capabilities = [\"pull\"]\n");
  ASSERT_OK(Pull(image_));
  EXPECT_EQ(mirror_.CountOf("/v2/app/manifests/latest"), 0U);
  EXPECT_EQ(mirror_.CountOf("/v2/app/blobs/" + image_.layer.digest), 1U);
}

TEST_F(Mirrors, WhenAllFailEachIsNamed) {
  origin_.OnOther([](const FakeRequest&) { return FakeAnswer{.status = 404}; });
  mirror_.OnOther([](const FakeRequest&) { return FakeAnswer{.status = 503}; });
  UseMirrors({mirror_.url()});
  const auto found = Resolve("reg.example/none");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(found.error().message(), "registry reg.example: none: fetch manifest latest: " + mirror_.host() +
                                         ": 503 Service Unavailable; " + origin_.host() + ": 404 Not Found");
}

TEST_F(Mirrors, ABadHostFileIsAnErrorThatNamesTheLine) {
  WriteHosts("\n\nservre = 1\n");
  EXPECT_FAILURE(Resolve(), kInvalidArgument, "hosts.toml:3: unknown key \"servre\"");
}

}  // namespace
}  // namespace fermata::overlay::testing
