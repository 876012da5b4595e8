// Whole pulls, from a registry into the store.
#include "overlay/registry/puller.h"

#include <atomic>
#include <thread>

#include "overlay/image/resolve.h"
#include "overlay/registry/base64.h"
#include "overlay/registry/image_push.h"
#include "tests/overlay/image_builder.h"
#include "tests/overlay/registry/registry_fixture.h"
#include "tests/overlay/registry/signer.h"

namespace fermata::overlay::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr const char* kBase = "/v2/app";

class Puller : public RegistryTest {
 protected:
  Puller() {
    UseServer(registry_);
    // Nothing here is about limits of time, and handlers wait for each other.
    options_.response_timeout = options_.no_progress_timeout = std::chrono::seconds(60);
  }
  void SetUp() override {
    auto store = ImageStore::Open(directory_ / "data");
    ASSERT_OK(store);
    store_ = std::move(store).value();
    puller_ = std::make_unique<ImagePuller>(*store_, client(), std::vector<std::string>{directory_ / "policy.json"});
    LayoutBuilder builder;
    image_.layers = {{.entries = {File("base", std::string(300'000, 'b'))}}, {.entries = {File("top", "top")}}};
    Serve(builder, image_, "latest");
  }

  // Gives the digest of the manifest.
  std::string Serve(LayoutBuilder& builder, const ImageSpec& spec, const std::string& tag) {
    const std::string digest = builder.AddImage(spec).at("digest").get<std::string>();
    ServeManifest(builder.blobs.at(HexOf(digest)), tag);
    for (const auto& [hex, data] : builder.blobs) {
      registry_.On(std::string(kBase) + "/blobs/sha256:" + hex,
                   [data = data](const FakeRequest& request) { return BlobAnswer(request, data); });
    }
    return digest;
  }
  void ServeManifest(const std::string& manifest, const std::string& tag) {
    const FakeAnswer answer{.headers = {{"Content-Type", kManifestType}}, .body = manifest};
    for (const std::string& name : {tag, DigestOf(manifest)}) {
      registry_.On(std::string(kBase) + "/manifests/" + name, [answer](const FakeRequest&) { return answer; });
    }
  }
  // The signature of `digest` where cosign puts it.
  void ServeSignature(const ImageSignature& signature, const std::string& digest) {
    const Json manifest = {
        {"schemaVersion", 2},
        {"mediaType", kManifestType},
        {"config",
         {{"mediaType", "application/vnd.oci.image.config.v1+json"}, {"digest", DigestOf("{}")}, {"size", 2}}},
        {"layers",
         {{{"mediaType", "application/vnd.dev.cosign.simplesigning.v1+json"},
           {"digest", DigestOf(signature.payload)},
           {"size", signature.payload.size()},
           {"annotations", {{"dev.cosignproject.cosign/signature", EncodeBase64(signature.signature)}}}}}}};
    ServeManifest(manifest.dump(), "sha256-" + HexOf(digest) + ".sig");
    registry_.On(std::string(kBase) + "/blobs/" + DigestOf(signature.payload),
                 [text = signature.payload](const FakeRequest& request) { return BlobAnswer(request, text); });
  }
  void WritePolicy(const Json& requirements) {
    const auto directory = OpenAt(AT_FDCWD, directory_.path(), O_RDONLY | O_DIRECTORY);
    ASSERT_OK(directory);
    ASSERT_OK(WriteFileAtomic(directory->get(), "policy.json", Json{{"default", requirements}}.dump()));
  }
  Result<ImagePtr> PullImage(const std::string& name = "reg.example/app") {
    return puller_->Pull(name, {credentials_, cancellation_, {}});
  }
  [[nodiscard]] std::vector<std::string> Files(const std::string& folder) const {
    const auto directory = OpenAt(AT_FDCWD, directory_ / ("data/" + folder), O_RDONLY | O_DIRECTORY);
    return directory ? ListDirectory(directory->get()).value() : std::vector<std::string>{"?"};
  }
  [[nodiscard]] size_t BlobRequests() const {
    size_t count = 0;
    for (const FakeRequest& request : registry_.requests()) count += request.path.find("/blobs/") != std::string::npos;
    return count;
  }

  FakeRegistry registry_;
  ImageSpec image_;
  std::unique_ptr<ImageStore> store_;
  std::unique_ptr<ImagePuller> puller_;
};

TEST_F(Puller, BringsAnImageWithItsNamesAndTellsOfItsLayers) {
  std::vector<LayerStatus> last;
  const auto image = puller_->Pull("reg.example/app", {{}, cancellation_, [&](std::span<const LayerStatus> layers) {
                                                         last.assign(layers.begin(), layers.end());
                                                       }});
  ASSERT_OK(image);
  EXPECT_THAT((*image)->repo_tags, ElementsAre("reg.example/app:latest"));
  EXPECT_THAT((*image)->repo_digests, ElementsAre("reg.example/app@" + (*image)->manifest_digest));
  ASSERT_THAT(last, SizeIs(2));
  for (const LayerStatus& layer : last) {
    EXPECT_EQ(layer.state, LayerState::kDone);
    EXPECT_EQ(layer.fetched_bytes, layer.size_bytes);
  }
  EXPECT_THAT(store_->Verify("", *cancellation_).value(), IsEmpty());
  EXPECT_THAT(Files("staging"), IsEmpty());
}

TEST_F(Puller, OfATagAndADigestOnlyTheDigestBecomesAName) {
  const std::string digest = PullImage().value()->manifest_digest;
  ASSERT_OK(store_->Remove("reg.example/app"));
  const auto image = PullImage("reg.example/app:other@" + digest);
  ASSERT_OK(image);
  EXPECT_THAT((*image)->repo_tags, IsEmpty());
  EXPECT_THAT((*image)->repo_digests, ElementsAre("reg.example/app@" + digest));
}

TEST_F(Puller, ASecondPullFetchesNoBlobAgainAndSeesAMovedTag) {
  const ImagePtr first = PullImage().value();
  const size_t before = BlobRequests();
  ASSERT_OK(PullImage());
  EXPECT_LE(BlobRequests(), before + 1) << "the configuration only";
  LayoutBuilder builder;
  image_.layers[1].entries = {File("top", "new")};
  Serve(builder, image_, "latest");
  const auto second = PullImage();
  ASSERT_OK(second);
  EXPECT_NE((*second)->id, first->id);
  EXPECT_THAT(store_->Find(first->id)->repo_tags, IsEmpty());
}

TEST_F(Puller, F14WrongBytesAreNotStoredAndTheRestIsKeptForARetry) {
  const std::string top = HexOf(DigestOf(Compress(TarOf(image_.layers[1].entries), Compression::kGzip)));
  const std::string path = std::string(kBase) + "/blobs/sha256:" + top;
  std::string bytes = Compress(TarOf(image_.layers[1].entries), Compression::kGzip);
  const std::string good = bytes;
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  registry_.On(path, [this, bytes](const FakeRequest& request) {
    while (Files("layers").empty()) std::this_thread::yield();  // the other layer is there before this one fails
    return BlobAnswer(request, bytes);
  });
  EXPECT_FAILURE(PullImage(), kInvalidArgument, "pull reg.example/app:latest");
  EXPECT_THAT(store_->List(), IsEmpty());
  EXPECT_THAT(Files("staging"), IsEmpty());
  const size_t before = BlobRequests();
  registry_.On(path, [good](const FakeRequest& request) { return BlobAnswer(request, good); });
  ASSERT_OK(PullImage());
  EXPECT_LE(BlobRequests(), before + 2) << "the configuration and the layer that failed";
}

TEST_F(Puller, WhatAFailedPullLeftIsCollected) {
  registry_.On(std::string(kBase) + "/blobs/" + DigestOf(Compress(TarOf(image_.layers[1].entries), Compression::kGzip)),
               [](const FakeRequest&) { return FakeAnswer{.status = 404}; });
  EXPECT_FALSE(PullImage());
  ASSERT_OK(store_->Collect());
  EXPECT_THAT(Files("layers"), IsEmpty());
  EXPECT_THAT(Files("frames"), IsEmpty());
}

TEST_F(Puller, TheWordsThatKubeletLooksForStandInFront) {
  options_.retries = 0;
  WriteHosts("server = \"http://127.0.0.1:1\"\n", "dead.example");
  EXPECT_THAT(PullImage("dead.example/app").error().message(),
              StartsWith("RegistryUnavailable: registry dead.example"));
  EXPECT_FAILURE(PullImage("reg.example/UPPER"), kInvalidArgument, "pull: ");
  WritePolicy({{{"type", "reject"}}});
  const auto rejected = PullImage();
  EXPECT_THAT(rejected.error().message(), StartsWith("SignatureValidationFailed: reg.example/app:latest"));
  EXPECT_EQ(registry_.requests().size(), 0U) << "nobody was asked";
}

TEST_F(Puller, ASignedImageIsTakenAndAnotherIsNot) {
  const Signer signer, stranger;
  WritePolicy({{{"type", "sigstoreSigned"},
                {"keyData", EncodeBase64(signer.public_pem())},
                {"signedIdentity", {{"type", "matchRepository"}}}}});
  const auto unsigned_image = PullImage();
  ASSERT_FALSE(unsigned_image);
  EXPECT_THAT(unsigned_image.error().message(), StartsWith("SignatureValidationFailed: "));
  EXPECT_THAT(unsigned_image.error().message(), HasSubstr("not signed"));
  const std::string digest = Resolve().value()->target().digest;
  ServeSignature(stranger.Sign("reg.example/app", digest), digest);
  EXPECT_THAT(PullImage().error().message(), HasSubstr("not made by the key"));
  EXPECT_THAT(Files("layers"), IsEmpty()) << "no layer comes before its signature";
  ServeSignature(signer.Sign("reg.example/app", digest), digest);
  ASSERT_OK(PullImage());
}

TEST_F(Puller, ADamagedPolicyLetsNothingIn) {
  const auto directory = OpenAt(AT_FDCWD, directory_.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_OK(WriteFileAtomic(directory->get(), "policy.json", "{"));
  EXPECT_THAT(PullImage().error().message(), StartsWith("SignatureValidationFailed: "));
}

TEST_F(Puller, I09OnlyTheDigestThatWillRunIsJudged) {
  // An index whose entry for another machine is signed; ours is not.
  const Signer signer;
  WritePolicy({{{"type", "sigstoreSigned"},
                {"keyData", EncodeBase64(signer.public_pem())},
                {"signedIdentity", {{"type", "matchRepository"}}}}});
  LayoutBuilder builder;
  ImageSpec other = image_;
  other.architecture = "s390x";
  Json ours = builder.AddImage(image_), theirs = builder.AddImage(other);
  ours["platform"] = {{"os", "linux"}, {"architecture", HostArchitecture()}};
  theirs["platform"] = {{"os", "linux"}, {"architecture", "s390x"}};
  for (const Json& entry : {ours, theirs}) {
    const std::string digest = entry.at("digest").get<std::string>();
    ServeManifest(builder.blobs.at(HexOf(digest)), digest);
  }
  const std::string index = builder.blobs.at(HexOf(builder.AddIndex({theirs, ours}).at("digest").get<std::string>()));
  const FakeAnswer answer{.headers = {{"Content-Type", "application/vnd.oci.image.index.v1+json"}}, .body = index};
  for (const std::string& name : {std::string("latest"), DigestOf(index)}) {
    registry_.On(std::string(kBase) + "/manifests/" + name, [answer](const FakeRequest&) { return answer; });
  }
  const std::string their_digest = theirs.at("digest").get<std::string>();
  ServeSignature(signer.Sign("reg.example/app", their_digest), their_digest);
  EXPECT_THAT(PullImage().error().message(), HasSubstr("not signed"));
  const std::string our_digest = ours.at("digest").get<std::string>();
  ServeSignature(signer.Sign("reg.example/app", our_digest), our_digest);
  EXPECT_OK(PullImage());
}

TEST_F(Puller, F17OfAHundredAtOnceEachBlobIsFetchedOnceAlsoWhenThirtyGiveUp) {
  image_.layers[0].entries = {File("base", Noise(4 << 20))};
  LayoutBuilder builder;
  Serve(builder, image_, "latest");
  std::mutex mutex;
  std::condition_variable go;
  bool open = false;
  for (const auto& [hex, data] : builder.blobs) {
    if (data.size() < (1 << 20)) continue;
    registry_.On(std::string(kBase) + "/blobs/sha256:" + hex, [&, data = data](const FakeRequest& request) {
      std::unique_lock lock(mutex);
      go.wait(lock, [&] { return open; });
      return BlobAnswer(request, data);
    });
  }
  struct Call {
    std::shared_ptr<Cancellation> cancellation = Cancellation::Make().value();
    std::atomic<bool> waits = false;
    bool good = false;
    std::jthread thread;
  };
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 100; ++i) {
    Call& call = *calls.emplace_back(std::make_unique<Call>());
    call.thread = std::jthread([&] {
      const auto observe = [&](std::span<const LayerStatus>) { call.waits = true; };
      call.good = static_cast<bool>(puller_->Pull("reg.example/app", {{}, call.cancellation, observe}));
    });
    if (i == 0) {
      while (!call.waits) std::this_thread::yield();  // the first one, which is to leave, has begun the flight
    }
  }
  for (const auto& call : calls) {
    while (!call->waits) std::this_thread::yield();
  }
  for (int i = 0; i < 30; ++i) calls[static_cast<size_t>(i)]->cancellation->Cancel();
  for (int i = 0; i < 30; ++i) calls[static_cast<size_t>(i)]->thread.join();
  {
    const std::lock_guard lock(mutex);
    open = true;
  }
  go.notify_all();
  for (int i = 30; i < 100; ++i) calls[static_cast<size_t>(i)]->thread.join();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(calls[static_cast<size_t>(i)]->good, i >= 30) << i;
  for (const auto& [hex, data] : builder.blobs) {
    if (data.size() < (1 << 20)) continue;
    EXPECT_EQ(registry_.CountOf(std::string(kBase) + "/blobs/sha256:" + hex), 1U);
  }
}

TEST_F(Puller, I13APullAsksTheRegistryAlsoWhenTheImageIsHere) {
  const ImagePtr image = PullImage().value();
  registry_.On(std::string(kBase) + "/manifests/latest", [](const FakeRequest&) { return FakeAnswer{.status = 401}; });
  EXPECT_FAILURE(PullImage(), kFailedPrecondition, "401");
  EXPECT_EQ(store_->Find("reg.example/app")->id, image->id) << "but stays for who may have it";
}

TEST_F(Puller, ADamagedLayerIsFetchedAgain) {
  const ImagePtr image = PullImage().value();
  ASSERT_EQ(::unlink((directory_ / ("data/layers/" + image->layers[1] + "/top")).c_str()), 0);
  const auto damaged = store_->Verify("", *cancellation_);
  ASSERT_OK(damaged);
  ASSERT_THAT(*damaged, SizeIs(1));
  ASSERT_OK(puller_->Repair(damaged->front(), {{}, cancellation_, {}}));
  EXPECT_THAT(store_->Verify("", *cancellation_).value(), IsEmpty());
}

}  // namespace
}  // namespace fermata::overlay::testing
