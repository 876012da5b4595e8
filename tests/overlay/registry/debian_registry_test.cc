// Against Debian's docker-registry, the registry of the distribution project: on loopback, with TLS and passwords.
#include <poll.h>
#include <unistd.h>

#include <csignal>

#include "overlay/registry/stops.h"
#include "runtime/base/spawn.h"
#include "tests/overlay/registry/registry_fixture.h"

namespace fermata::overlay::testing {
namespace {

constexpr const char* kProgram = "/usr/bin/docker-registry";
// user:password, by bcrypt.
constexpr const char* kPasswords = "user:$2y$04$GtnqqTIoL1gnT1ivgOPd/e3gutkCcpAmi1pMV2eaS4.IshTh.3q7m\n";

class DebianRegistry : public RegistryTest {
 protected:
  void SetUp() override {
    if (::access(kProgram, X_OK) != 0) GTEST_SKIP() << "no " << kProgram << ": the package docker-registry has it";
    options_.response_timeout = std::chrono::seconds(20);
    options_.no_progress_timeout = std::chrono::seconds(20);
    options_.connect_timeout = std::chrono::seconds(20);
    const TestCertificate certificate = MakeTestCertificate("IP:127.0.0.1");
    Write("ca.pem", certificate.ca_pem);
    Write("cert.pem", certificate.cert_pem);
    Write("key.pem", certificate.key_pem);
    Write("passwords", kPasswords);
    Write("config.yml",
          "version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\n"
          "storage: {filesystem: {rootdirectory: " +
              directory_.path() +
              "/data}}\n"
              "auth: {htpasswd: {realm: test, path: " +
              directory_.path() +
              "/passwords}}\n"
              "http: {addr: \"127.0.0.1:0\", tls: {certificate: " +
              directory_.path() + "/cert.pem, key: " + directory_.path() + "/key.pem}}\n");
    Start();
    WriteHosts("server = \"https://" + host_ + "\"\nca = \"../ca.pem\"\n");
    LogIn("user", "password");
  }
  void TearDown() override {
    if (!registry_.pidfd.valid()) return;
    EXPECT_OK(registry_.pidfd.Signal(SIGKILL));
    EXPECT_OK(Reap(registry_.pidfd));
    drain_.join();  // the pipe ends with the process
  }
  void Write(const std::string& name, const std::string& text) {
    const auto directory = OpenAt(AT_FDCWD, directory_.path(), O_RDONLY | O_DIRECTORY);
    ASSERT_OK(directory);
    ASSERT_OK(WriteFileAtomic(directory->get(), name, text));
  }
  // Its log tells the port.
  void Start() {
    int ends[2] = {-1, -1};
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    UniqueFd reader(ends[0]), writer(ends[1]);
    const auto null = OpenAt(AT_FDCWD, "/dev/null", O_RDWR);
    ASSERT_OK(null);
    SpawnOptions spawn;
    spawn.executable = kProgram;
    spawn.arguments = {kProgram, "serve", directory_ / "config.yml"};
    spawn.environment = {"PATH=/usr/bin:/bin", "OTEL_TRACES_EXPORTER=none"};
    spawn.fds = {{null->get(), 0}, {writer.get(), 1}, {writer.get(), 2}};
    auto spawned = Spawn(spawn);
    ASSERT_OK(spawned);
    registry_ = std::move(*spawned);
    writer.Reset();
    std::string log;
    const std::string mark = "listening on ";
    char buffer[4096];
    while (log.find(mark) == std::string::npos || log.find(',', log.find(mark)) == std::string::npos) {
      const ssize_t count = ::read(reader.get(), buffer, sizeof buffer);
      ASSERT_GT(count, 0) << log;
      log.append(buffer, static_cast<size_t>(count));
    }
    host_ = log.substr(log.find(mark) + mark.size());
    host_.resize(host_.find_first_of(", \""));
    drain_ = std::jthread([fd = std::move(reader)] {
      char rest[4096];
      while (::read(fd.get(), rest, sizeof rest) > 0) continue;
    });
  }
  Result<> PushImage(const TestImage& image, const std::string& name) {
    MemoryBlobs blobs;
    blobs.Add(image.config_text);
    blobs.Add(image.layer_text);
    ASSIGN_OR_RETURN(const Reference reference, ParseReference(name));
    return client().Push(reference, image.manifest, kManifestType, blobs, credentials_, cancellation_);
  }

  SpawnedProcess registry_;
  std::string host_;
  std::jthread drain_;
};

TEST_F(DebianRegistry, WhatIsPushedIsPulled) {
  const TestImage image = MakeImage(3 << 20);
  ASSERT_OK(PushImage(image, "reg.example/team/app:v1"));
  ASSERT_OK(PushImage(image, "reg.example/team/app:v2"));  // all blobs are there
  for (const std::string& name : {std::string("reg.example/team/app:v1"), "reg.example/team/app@" + image.digest}) {
    const auto found = Resolve(name);
    ASSERT_OK(found);
    EXPECT_EQ((*found)->target().digest, image.digest);
    const auto manifest = ReadBlob(**found, (*found)->target()), config = ReadBlob(**found, image.config);
    ASSERT_OK(manifest);
    ASSERT_OK(config);
    EXPECT_EQ(*manifest, image.manifest);
    EXPECT_EQ(*config, image.config_text);
    const auto layer = ReadLayer(**found, image);
    ASSERT_OK(layer);
    EXPECT_TRUE(*layer == image.layer_text);
  }
  EXPECT_FAILURE(Resolve("reg.example/team/app:none"), kNotFound, "404 Not Found (MANIFEST_UNKNOWN)");
  EXPECT_FAILURE(Resolve("reg.example/none"), kNotFound, "registry reg.example: none: fetch manifest latest: 404");
}

TEST_F(DebianRegistry, AnIndexBringsItsManifests) {
  const TestImage image = MakeImage(1000);
  MemoryBlobs blobs;
  for (const std::string& text : {image.config_text, image.layer_text, image.manifest}) blobs.Add(text);
  const std::string type = "application/vnd.oci.image.index.v1+json";
  const std::string index = R"({"schemaVersion":2,"mediaType":")" + type + R"(","manifests":[{"mediaType":")" +
                            kManifestType + R"(","digest":")" + image.digest + R"(","size":)" +
                            std::to_string(image.manifest.size()) +
                            R"(,"platform":{"architecture":"amd64","os":"linux"}}]})";
  const Reference reference = ParseReference("reg.example/team/list").value();
  ASSERT_OK(client().Push(reference, index, type, blobs, credentials_, cancellation_));
  const auto found = Resolve("reg.example/team/list");
  ASSERT_OK(found);
  EXPECT_EQ((*found)->target().kind, MediaKind::kIndex);
  const auto manifest = ReadBlob(**found, Describe(MediaKind::kManifest, image.manifest));
  ASSERT_OK(manifest);
  EXPECT_EQ(*manifest, image.manifest);
}

TEST_F(DebianRegistry, ALargeLayerComesInPartsAndWhole) {
  const TestImage image = MakeImage(40 << 20);
  ASSERT_OK(PushImage(image, "reg.example/team/large"));
  const auto parts = Pull(image, "reg.example/team/large");
  ASSERT_OK(parts);
  EXPECT_TRUE(*parts == image.layer_text);
  options_.parallel_from = UINT64_MAX;
  client_.reset();
  const auto whole = Pull(image, "reg.example/team/large");
  ASSERT_OK(whole);
  EXPECT_TRUE(*whole == image.layer_text);
}

// With HTTP/2 for all, the layer that nobody reads would hold up the connection that the others share.
TEST_F(DebianRegistry, ALayerThatIsNotReadHoldsUpNobody) {
  options_.parallel_from = UINT64_MAX;
  const TestImage image = MakeImage(40 << 20);
  ASSERT_OK(PushImage(image, "reg.example/team/slow"));
  const auto found = Resolve("reg.example/team/slow");
  ASSERT_OK(found);
  const auto slow = (*found)->Open(image.layer);
  ASSERT_OK(slow);
  std::string data(1, '\0');
  ASSERT_OK((*slow)->Read(data));
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(Resolve("reg.example/team/slow"));
    ASSERT_OK(ReadBlob(**found, image.config));
    const auto layer = ReadLayer(**found, image);
    ASSERT_OK(layer);
    EXPECT_TRUE(*layer == image.layer_text);
  }
  const auto rest = ReadToEnd(**slow, 64 << 20);
  ASSERT_OK(rest);
  EXPECT_TRUE(data + *rest == image.layer_text);
}

TEST_F(DebianRegistry, ManyLayersAtOnceFromManyThreads) {
  const TestImage image = MakeImage(2 << 20);
  ASSERT_OK(PushImage(image, "reg.example/team/many"));
  const auto found = Resolve("reg.example/team/many");
  ASSERT_OK(found);
  std::vector<std::jthread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&, kind = i % 2] {
      const auto read = kind == 0 ? ReadLayer(**found, image) : ReadBlob(**found, image.config);
      good += read && *read == (kind == 0 ? image.layer_text : image.config_text) ? 1 : 0;
    });
  }
  threads.clear();
  EXPECT_EQ(good, 20);
}

TEST_F(DebianRegistry, AWrongPasswordIsDenied) {
  ASSERT_OK(client().CheckLogin("reg.example", *credentials_, cancellation_));
  LogIn("user", "wrong");
  EXPECT_FAILURE(client().CheckLogin("reg.example", *credentials_, cancellation_), kFailedPrecondition,
                 "registry reg.example: log in: 401 Unauthorized (UNAUTHORIZED)");
  EXPECT_FAILURE(Resolve("reg.example/team/app"), kFailedPrecondition, "401 Unauthorized (UNAUTHORIZED)");
  credentials_.reset();
  EXPECT_FAILURE(Resolve("reg.example/team/app"), kFailedPrecondition, "401 Unauthorized (UNAUTHORIZED)");
}

}  // namespace
}  // namespace fermata::overlay::testing
