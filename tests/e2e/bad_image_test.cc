// Archives that lie or break off, layers that climb out, links that point outside; and calls that are not there yet.
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <set>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {
namespace {

using grpc::StatusCode;
using overlay::testing::Directory;
using overlay::testing::File;
using overlay::testing::ImageSpec;
using overlay::testing::LayerSpec;
using overlay::testing::LayoutBuilder;
using overlay::testing::OciArchiveOf;
using overlay::testing::Symlink;

class BadImageTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (IsSkipped()) return;
    before_ = daemon().Audit();
    files_ = Files();
  }
  std::set<std::string> Files() {
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(daemon().data_dir())) {
      if (entry.path().string().find("/fs/") == std::string::npos) files.insert(entry.path());
    }
    return files;
  }
  void ExpectImportFails(const std::string& archive, StatusCode code, const std::string& part) {
    SCOPED_TRACE(part);
    EXPECT_TRUE(Is(daemon().TryImport(archive, "localhost/bad:1"), code, part));
    v1::ListImagesResponse list;
    ASSERT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::ListImages, v1::ListImagesRequest(), &list)));
    EXPECT_EQ(list.images_size(), 1);
    EXPECT_TRUE(daemon().NothingLeakedSince(before_));
    EXPECT_EQ(Files(), files_);
  }
  static LayoutBuilder Layout(std::vector<overlay::testing::TarEntry> entries) {
    LayoutBuilder builder;
    builder.AddToIndex(builder.AddImage({.layers = {LayerSpec{.entries = std::move(entries)}}}), "localhost/bad:1");
    return builder;
  }

  LeakAudit before_;
  std::set<std::string> files_;
};

TEST_F(BadImageTest, WhatIsNoArchiveOrOnlyTheBeginningOfOne) {
  ExpectImportFails("", StatusCode::INVALID_ARGUMENT, "");
  ExpectImportFails("this is no archive", StatusCode::INVALID_ARGUMENT, "");
  const std::string archive = BusyboxArchive("localhost/bad:1");
  ExpectImportFails(archive.substr(0, archive.size() / 2), StatusCode::INVALID_ARGUMENT, "");
  ExpectImportFails(archive.substr(0, 700), StatusCode::INVALID_ARGUMENT, "");
}

TEST_F(BadImageTest, BlobsThatAreNotWhatTheirDigestSays) {
  for (const char* type : {"config", "layer", "manifest"}) {
    LayoutBuilder builder = Layout({File("file", std::string(5000, 'x'))});
    for (auto& [hex, data] : builder.blobs) {
      const bool json = data.starts_with('{');
      const bool manifest = json && data.find("schemaVersion") != std::string::npos;
      const std::string kind = !json ? "layer" : manifest ? "manifest" : "config";
      if (kind == type) data[data.size() / 2] = static_cast<char>(data[data.size() / 2] ^ 1);
    }
    ExpectImportFails(builder.Archive(), StatusCode::INVALID_ARGUMENT, "sha256:");
  }
  LayoutBuilder missing = Layout({File("file", "x")});
  missing.blobs.erase(std::find_if(missing.blobs.begin(), missing.blobs.end(),
                                   [](const auto& blob) { return !blob.second.starts_with('{'); }));
  ExpectImportFails(missing.Archive(), StatusCode::INVALID_ARGUMENT, "sha256:");
}

TEST_F(BadImageTest, ALayerWhoseContentIsNotTheConfigurationsDiffId) {
  LayoutBuilder builder;
  const Json layer =
      builder.AddBlob(overlay::testing::TarOf({File("file", "x")}), "application/vnd.oci.image.layer.v1.tar");
  const Json config = {{"architecture", overlay::HostArchitecture()},
                       {"os", "linux"},
                       {"rootfs", {{"type", "layers"}, {"diff_ids", {overlay::DigestOf("another")}}}}};
  builder.AddToIndex(builder.AddManifest(config, Json::array({layer})), "localhost/bad:1");
  ExpectImportFails(builder.Archive(), StatusCode::INVALID_ARGUMENT, "sha256:");
}

TEST_F(BadImageTest, ALayerThatClimbsOut) {
  const std::string outside = daemon() / "outside";
  std::filesystem::create_directory(outside);
  ExpectImportFails(Layout({File("../../../evil", "x")}).Archive(), StatusCode::INVALID_ARGUMENT, "evil");
  ExpectImportFails(Layout({Symlink("way", outside), File("way/evil", "x")}).Archive(), StatusCode::INVALID_ARGUMENT,
                    "way");
  ExpectImportFails(Layout({overlay::testing::HardLink("evil", "../../../../../etc/passwd")}).Archive(),
                    StatusCode::INVALID_ARGUMENT, "evil");
  EXPECT_TRUE(std::filesystem::is_empty(outside));
  EXPECT_FALSE(std::filesystem::exists(daemon() / "evil"));
}

// An image with these entries besides a busybox.
std::string LinkedImage(std::vector<overlay::testing::TarEntry> entries) {
  for (const char* name : {"bin", "dev", "proc", "sys", "etc", "inside"}) entries.push_back(Directory(name));
  std::rotate(entries.begin(), entries.end() - 6, entries.end());
  entries.push_back(File("bin/busybox", ReadText("/bin/busybox"), 0755));
  return OciArchiveOf({ImageSpec{.layers = {LayerSpec{.entries = entries}}, .name = "localhost/links:1"}});
}

class LinksTest : public BadImageTest {
 protected:
  // Mounts a directory at `target`, works in it, and reads its file.
  std::string ReadMountedAt(const std::string& target) {
    WriteText(daemon() / "source/file", "mounted\n");
    const std::string pod = cri().RunPod("links");
    v1::ContainerConfig config = Cri::ContainerConfig("c", {"/bin/busybox", "cat", "file"});
    config.mutable_image()->set_image("localhost/links:1");
    config.set_working_dir(target);
    config.add_mounts()->set_host_path(daemon() / "source");
    config.mutable_mounts(0)->set_container_path(target);
    std::string out = cri().RunToEnd(pod, config).out;
    EXPECT_TRUE(Ok(cri().RemovePod(pod)));
    v1::RemoveImageRequest request;
    v1::RemoveImageResponse response;
    request.mutable_image()->set_image("localhost/links:1");
    EXPECT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::RemoveImage, request, &response)));
    EXPECT_TRUE(daemon().NothingLeakedSince(before_));
    return out;
  }
};

TEST_F(LinksTest, ALinkThatClimbsStaysInside) {
  ASSERT_TRUE(daemon().Import(LinkedImage({Symlink("climbing", "../../../../../../../../inside")})));
  EXPECT_EQ(ReadMountedAt("/climbing/a"), "mounted\n");
  EXPECT_FALSE(std::filesystem::exists("/inside"));
}

TEST_F(LinksTest, ALinkToAPathOfTheHostIsMadeInside) {
  const std::string outside = daemon() / "host-only";
  ASSERT_TRUE(daemon().Import(LinkedImage({Symlink("dangling", outside)})));
  EXPECT_EQ(ReadMountedAt("/dangling/b"), "mounted\n");
  EXPECT_FALSE(std::filesystem::exists(outside)) << "nothing was made on the host";
}

// As in many images made from a running system.
TEST_F(LinksTest, AnImageWhoseResolvConfIsADanglingLinkRuns) {
  ASSERT_TRUE(daemon().Import(LinkedImage({Symlink("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")})));
  EXPECT_EQ(ReadMountedAt("/inside"), "mounted\n");
}

// Any method with an empty request.
grpc::Status CallEmpty(const std::shared_ptr<grpc::Channel>& channel, const std::string& path) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  // Events have no end.
  const bool endless = path.ends_with("GetContainerEvents");
  context.set_deadline(std::chrono::system_clock::now() + Scaled(std::chrono::seconds(endless ? 1 : 20)));
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, path, grpc::ByteBuffer(nullptr, 0), &queue);
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status;
}

TEST_F(BadImageTest, EveryCallIsRegisteredAndTheMissingOnesSayTheirName) {
  const std::set<std::string> served = {"Version",
                                        "Status",
                                        "RuntimeConfig",
                                        "RunPodSandbox",
                                        "StopPodSandbox",
                                        "RemovePodSandbox",
                                        "PodSandboxStatus",
                                        "ListPodSandbox",
                                        "CreateContainer",
                                        "StartContainer",
                                        "StopContainer",
                                        "RemoveContainer",
                                        "ContainerStatus",
                                        "ListContainers",
                                        "ReopenContainerLog",
                                        "ExecSync",
                                        "ListImages",
                                        "ImageStatus",
                                        "RemoveImage",
                                        "ImageFsInfo",
                                        "PullImage",
                                        "StreamImages",
                                        "Exec",
                                        "Attach",
                                        "PortForward",
                                        "UpdateRuntimeConfig",
                                        "UpdateContainerResources",
                                        "UpdatePodSandboxResources",
                                        "StreamPodSandboxes",
                                        "StreamContainers",
                                        "GetContainerEvents",
                                        "ContainerStats",
                                        "ListContainerStats",
                                        "StreamContainerStats",
                                        "PodSandboxStats",
                                        "ListPodSandboxStats",
                                        "StreamPodSandboxStats",
                                        "ListMetricDescriptors",
                                        "ListPodSandboxMetrics",
                                        "StreamPodSandboxMetrics"};
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  int refused = 0;
  for (const char* service : {"runtime.v1.RuntimeService", "runtime.v1.ImageService"}) {
    const auto* descriptor = pool->FindServiceByName(service);
    ASSERT_NE(descriptor, nullptr) << service;
    for (int i = 0; i < descriptor->method_count(); ++i) {
      const std::string& name = descriptor->method(i)->name();
      const grpc::Status status = CallEmpty(daemon().channel, std::string("/") + service + "/" + name);
      if (served.contains(name)) {
        EXPECT_NE(status.error_code(), StatusCode::UNIMPLEMENTED) << name;
        continue;
      }
      EXPECT_TRUE(Is(status, StatusCode::UNIMPLEMENTED, name));
      ++refused;
    }
  }
  EXPECT_EQ(refused, 43 - static_cast<int>(served.size())) << "43 calls in all";
  EXPECT_TRUE(daemon().NothingLeakedSince(before_));
}

}  // namespace
}  // namespace fermata::testing
