#include "tests/overlay/registry/registry_fixture.h"

namespace fermata::overlay::testing {
namespace {

// Takes uploads as a good registry does, and remembers what it got.
class Push : public RegistryTest {
 protected:
  Push() : image_(MakeImage(3000000)) {
    UseServer(registry_);
    blobs_.Add(image_.config_text);
    blobs_.Add(image_.layer_text);
    registry_.On("/v2/app/blobs/uploads/", [](const FakeRequest&) {
      return FakeAnswer{.status = 202, .headers = {{"Location", "/v2/app/blobs/uploads/one?state=x"}}};
    });
    registry_.On("/v2/app/blobs/uploads/one", [this](const FakeRequest& request) {
      const std::lock_guard lock(mutex_);
      stored_["state=x&digest=sha256%3A" + HexOf(DigestOf(request.body)) == request.query ? DigestOf(request.body)
                                                                                          : "wrong"] = request.body;
      return FakeAnswer{.status = 201};
    });
    for (const char* name : {"latest", "v1"}) {
      registry_.On("/v2/app/manifests/" + std::string(name), [this, name](const FakeRequest& request) {
        const std::lock_guard lock(mutex_);
        stored_[name] = request.body;
        return FakeAnswer{.status = request.Header("content-type") == kManifestType ? 201 : 400};
      });
    }
  }
  Result<> PushAs(const std::string& name) {
    ASSIGN_OR_RETURN(const Reference reference, ParseReference(name));
    return client().Push(reference, image_.manifest, kManifestType, blobs_, credentials_, cancellation_);
  }

  TestImage image_;
  MemoryBlobs blobs_;
  std::mutex mutex_;
  std::map<std::string, std::string> stored_;
  FakeRegistry registry_;
};

TEST_F(Push, StoresBlobsThenTheManifest) {
  ASSERT_OK(PushAs("reg.example/app:v1"));
  EXPECT_EQ(stored_.size(), 3U);
  EXPECT_TRUE(stored_[image_.layer.digest] == image_.layer_text);
  EXPECT_EQ(stored_[image_.config.digest], image_.config_text);
  EXPECT_EQ(stored_["v1"], image_.manifest);
  EXPECT_EQ(registry_.requests().back().path, "/v2/app/manifests/v1");
}

TEST_F(Push, LeavesOutWhatIsThere) {
  registry_.On("/v2/app/blobs/" + image_.layer.digest, [](const FakeRequest&) { return FakeAnswer{}; });
  ASSERT_OK(PushAs("reg.example/app"));
  EXPECT_EQ(stored_.count(image_.layer.digest), 0U);
}

TEST_F(Push, BeginsAnUploadAnewAfterAFailure) {
  registry_.On("/v2/app/blobs/uploads/", [count = std::make_shared<std::atomic<int>>(0)](const FakeRequest&) {
    if (count->fetch_add(1) == 0) return FakeAnswer{.status = 503};
    return FakeAnswer{.status = 202, .headers = {{"Location", "/v2/app/blobs/uploads/one?state=x"}}};
  });
  ASSERT_OK(PushAs("reg.example/app"));
}

TEST_F(Push, BeginsAnewWhenTheAuthorizationExpiresInBetween) {
  LogIn("user", "password");
  registry_.On("/v2/app/blobs/uploads/one", [this](const FakeRequest& request) {
    if (request.Header("authorization").empty()) {
      return FakeAnswer{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
    }
    const std::lock_guard lock(mutex_);
    stored_[DigestOf(request.body)] = request.body;
    return FakeAnswer{.status = 201};
  });
  ASSERT_OK(PushAs("reg.example/app"));
  EXPECT_TRUE(stored_[image_.layer.digest] == image_.layer_text);
}

TEST_F(Push, I05AnUploadIsNotSentElsewhere) {
  FakeRegistry other;
  registry_.On("/v2/app/blobs/uploads/", [&](const FakeRequest&) {
    return FakeAnswer{.status = 202, .headers = {{"Location", other.url() + "/take"}}};
  });
  EXPECT_FAILURE(PushAs("reg.example/app"), kFailedPrecondition, "sends to another place");
  EXPECT_EQ(other.bytes_received(), 0U);
}

TEST_F(Push, ABlobThatIsMissingOrShortIsNamed) {
  MemoryBlobs none;
  const Reference reference = ParseReference("reg.example/app").value();
  EXPECT_FAILURE(client().Push(reference, image_.manifest, kManifestType, none, {}, cancellation_), kInvalidArgument,
                 "registry reg.example: app: push blob " + image_.config.digest + ": not there");
  EXPECT_EQ(stored_.size(), 0U);
}

TEST_F(Push, ADeniedUploadIsToldAsIt) {
  registry_.On("/v2/app/blobs/uploads/", [](const FakeRequest&) {
    return FakeAnswer{.status = 403, .body = R"({"errors":[{"code":"DENIED"}]})"};
  });
  EXPECT_FAILURE(PushAs("reg.example/app"), kFailedPrecondition, "start upload: 403 Forbidden (DENIED)");
}

}  // namespace
}  // namespace fermata::overlay::testing
