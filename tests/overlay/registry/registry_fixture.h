// RegistryTest: a client whose registry "reg.example" is a FakeRegistry, with short limits and no pauses to speak of.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "overlay/digest.h"
#include "overlay/registry/content_range.h"
#include "overlay/registry/registry_client.h"
#include "runtime/base/file.h"
#include "tests/fixtures/fake_registry.h"
#include "tests/fixtures/temporary.h"

namespace fermata::overlay::testing {

using ::fermata::testing::FakeAnswer;
using ::fermata::testing::FakeHandler;
using ::fermata::testing::FakeRegistry;
using ::fermata::testing::FakeRequest;
using ::fermata::testing::MakeTestCertificate;
using ::fermata::testing::TemporaryDirectory;
using ::fermata::testing::TestCertificate;

inline constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";

struct TestImage {
  std::string manifest, digest;
  std::string config_text, layer_text;
  Descriptor config, layer;
};

inline Descriptor Describe(MediaKind kind, const std::string& text) {
  Descriptor descriptor;
  descriptor.kind = kind;
  descriptor.digest = DigestOf(text);
  descriptor.size_bytes = text.size();
  return descriptor;
}

// Bytes without a period, so that a stretch in a wrong place shows.
inline std::string Noise(size_t size) {
  std::string bytes(size, '\0');
  uint64_t state = 88172645463325252U;
  for (char& byte : bytes) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    byte = static_cast<char>(state);
  }
  return bytes;
}

inline TestImage MakeImage(size_t layer_bytes = 100000) {
  const auto entry = [](const char* type, const Descriptor& blob) {
    return R"({"mediaType":")" + std::string(type) + R"(","digest":")" + blob.digest + R"(","size":)" +
           std::to_string(blob.size_bytes) + "}";
  };
  TestImage image;
  image.config_text = R"({"architecture":"amd64","os":"linux"})";
  image.layer_text = Noise(layer_bytes);
  image.config = Describe(MediaKind::kConfig, image.config_text);
  image.layer = Describe(MediaKind::kLayer, image.layer_text);
  image.manifest = R"({"schemaVersion":2,"mediaType":")" + std::string(kManifestType) + R"(","config":)" +
                   entry("application/vnd.oci.image.config.v1+json", image.config) + R"(,"layers":[)" +
                   entry("application/vnd.oci.image.layer.v1.tar", image.layer) + "]}";
  image.digest = DigestOf(image.manifest);
  return image;
}

inline FakeAnswer ManifestAnswer(const TestImage& image) {
  return {.headers = {{"Content-Type", kManifestType}, {"Docker-Content-Digest", image.digest}},
          .body = image.manifest};
}

// As a good server answers, with or without a Range.
inline FakeAnswer BlobAnswer(const FakeRequest& request, const std::string& blob) {
  const std::string range = request.Header("range");
  if (range.empty()) return {.body = blob};
  const size_t dash = range.find('-');
  const size_t first = std::stoul(range.substr(6, dash - 6));
  const size_t last = dash + 1 == range.size() ? blob.size() - 1 : std::stoul(range.substr(dash + 1));
  FakeAnswer answer{.status = 206, .body = blob.substr(first, last - first + 1)};
  answer.headers = {{"Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
                                          std::to_string(blob.size())}};
  return answer;
}

inline void ServeImage(FakeRegistry& registry, const TestImage& image, const std::string& repository = "app") {
  const std::string base = "/v2/" + repository;
  const auto manifest = [image](const FakeRequest&) { return ManifestAnswer(image); };
  registry.On(base + "/manifests/latest", manifest);
  registry.On(base + "/manifests/" + image.digest, manifest);
  for (const std::string& text : {image.config_text, image.layer_text}) {
    registry.On(base + "/blobs/" + DigestOf(text),
                [text](const FakeRequest& request) { return BlobAnswer(request, text); });
  }
}

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() {
    options_.hosts_dir = directory_.path();
    options_.connect_timeout = std::chrono::milliseconds(1000);
    options_.response_timeout = std::chrono::milliseconds(400);
    options_.no_progress_timeout = std::chrono::milliseconds(400);
    options_.retry_delay = std::chrono::milliseconds(1);
  }

  void WriteHosts(const std::string& text, const std::string& registry = "reg.example") {
    const auto made = MakeDirectories(AT_FDCWD, directory_ / registry);
    ASSERT_OK(made);
    ASSERT_OK(WriteFileAtomic(made->get(), "hosts.toml", text));
  }
  void UseServer(const FakeRegistry& registry, const std::string& more = "") {
    WriteHosts("server = \"" + registry.url() + "\"\n" + more);
  }
  RegistryClient& client() {
    if (client_ == nullptr) client_ = std::make_unique<RegistryClient>(options_);
    return *client_;
  }
  Result<std::shared_ptr<RemoteImage>> Resolve(const std::string& name = "reg.example/app") {
    ASSIGN_OR_RETURN(const Reference reference, ParseReference(name));
    return client().Resolve(reference, credentials_, cancellation_);
  }
  // Resolves and reads the layer.
  Result<std::string> Pull(const TestImage& image, const std::string& name = "reg.example/app") {
    ASSIGN_OR_RETURN(const std::shared_ptr<RemoteImage> found, Resolve(name));
    return ReadLayer(*found, image);
  }
  static Result<std::string> ReadLayer(const RemoteImage& found, const TestImage& image) {
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, found.Open(image.layer));
    return ReadToEnd(*source, uint64_t{1} << 30);
  }
  void LogIn(const std::string& user, const std::string& password) {
    credentials_.emplace();
    credentials_->username = user;
    credentials_->password = password;
  }

  TemporaryDirectory directory_;
  RegistryOptions options_;
  std::optional<Credentials> credentials_;
  std::shared_ptr<Cancellation> cancellation_ = Cancellation::Make().value();
  std::unique_ptr<RegistryClient> client_;
};

// Blobs in memory.
class MemoryBlobs : public BlobProvider {
 public:
  void Add(const std::string& text) { texts_[DigestOf(text)] = text; }
  [[nodiscard]] Result<std::unique_ptr<ByteSource>> Open(const Descriptor& blob) const override {
    class Source : public ByteSource {
     public:
      explicit Source(const std::string& text) : text_(text) {}
      Result<size_t> Read(std::span<char> buffer) override {
        const size_t count = std::min(buffer.size(), text_.size() - offset_);
        text_.copy(buffer.data(), count, offset_);
        offset_ += count;
        return count;
      }

     private:
      const std::string& text_;
      size_t offset_ = 0;
    };
    const auto found = texts_.find(blob.digest);
    if (found == texts_.end()) return Error::Make(ErrorCode::kInvalidArgument, "not there");
    return std::unique_ptr<ByteSource>(std::make_unique<Source>(found->second));
  }

 private:
  std::map<std::string, std::string> texts_;
};

// What a caller may see of a failure.
#define EXPECT_FAILURE(result, expected_code, text)                                           \
  do {                                                                                        \
    const auto& failed_ = (result);                                                           \
    ASSERT_FALSE(failed_) << "succeeded";                                                     \
    EXPECT_EQ(failed_.error().code(), ErrorCode::expected_code) << failed_.error().message(); \
    EXPECT_THAT(failed_.error().message(), ::testing::HasSubstr(text));                       \
  } while (false)

}  // namespace fermata::overlay::testing
