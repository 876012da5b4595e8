// Images as volumes of containers (Mount.image): whole or in part, of one layer or several, with a user namespace, and
// how long their layers stay.
#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {
namespace {

using grpc::StatusCode;
using overlay::testing::Directory;
using overlay::testing::File;
using overlay::testing::LayerSpec;
using overlay::testing::OciArchiveOf;
using overlay::testing::Symlink;

constexpr const char* kOneLayer = "localhost/data:one";
constexpr const char* kTwoLayers = "localhost/data:two";
const std::vector<std::string> kSleep = {"sleep", "1000"};

class ImageVolumeTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (IsSkipped()) return;
    const LayerSpec base{.entries = {Directory("models"), File("models/a", "first\n"), File("models/b", "second\n"),
                                     File("private", "for root only\n", 0600), Symlink("inside", "models"),
                                     Symlink("outside", "../../etc"), Symlink("absolute", "/etc"),
                                     File("run.sh", "#!/bin/sh\necho it runs\n", 0755)}};
    const LayerSpec top{.entries = {File("models/a", "changed\n"), File("models/.wh.b", "")}};
    ASSERT_TRUE(daemon().Import(OciArchiveOf({{.layers = {base}, .name = kOneLayer}})));
    ASSERT_TRUE(daemon().Import(OciArchiveOf({{.layers = {base, top}, .name = kTwoLayers}})));
  }
  static v1::ContainerConfig WithImage(const std::string& image, const std::string& sub_path = "") {
    v1::ContainerConfig config = Cri::ContainerConfig("c", kSleep);
    v1::Mount& mount = *config.add_mounts();
    mount.mutable_image()->set_image(image);
    mount.set_image_sub_path(sub_path);
    mount.set_container_path("/data");
    mount.set_readonly(true);
    return config;
  }
  grpc::Status RemoveImage(const std::string& name) {
    v1::RemoveImageRequest request;
    v1::RemoveImageResponse response;
    request.mutable_image()->set_image(name);
    return Call(*daemon().images, &v1::ImageService::Stub::RemoveImage, request, &response);
  }
};

TEST_F(ImageVolumeTest, ShowsTheFilesOfAllLayersReadOnly) {
  const std::string pod = cri().RunPod("volumes");
  v1::ContainerConfig config = WithImage(kTwoLayers);
  *config.add_mounts() = WithImage(kOneLayer).mounts(0);
  config.mutable_mounts(1)->set_container_path("/one");
  const std::string id = cri().Run(pod, config);
  EXPECT_EQ(cri().Shell(id, "cat /data/models/a; ls /data/models"), "changed\na") << "the whiteout hides b";
  EXPECT_EQ(cri().Shell(id, "cat /one/models/a /one/models/b"), "first\nsecond");
  EXPECT_EQ(cri().Shell(id, "/data/run.sh && /one/run.sh"), "it runs\nit runs");
  for (const char* path : {"/data/new", "/one/new", "/data/models/a"}) {
    EXPECT_NE(cri().Exec(id, {"touch", path}).code, 0) << path;
  }
  const v1::ContainerStatus status = cri().Status(id);
  ASSERT_EQ(status.mounts_size(), 2);
  EXPECT_EQ(status.mounts(0).image().image(), kTwoLayers);
  EXPECT_EQ(status.mounts(0).image().image_ref().substr(0, 7), "sha256:");
  EXPECT_TRUE(status.mounts(0).host_path().empty());
}

TEST_F(ImageVolumeTest, ShowsAPartOfIt) {
  const std::string pod = cri().RunPod("parts");
  for (const char* image : {kOneLayer, kTwoLayers}) {
    v1::ContainerConfig config = WithImage(image, "models");
    config.mutable_metadata()->set_name(image);
    config.set_log_path("");
    *config.add_mounts() = WithImage(image, "inside/a").mounts(0);
    config.mutable_mounts(1)->set_container_path("/etc/a.conf");
    const std::string id = cri().Run(pod, config);
    const std::string text = image == kOneLayer ? "first" : "changed";
    EXPECT_EQ(cri().Shell(id, "cat /data/a"), text);
    EXPECT_EQ(cri().Shell(id, "cat /etc/a.conf"), text) << "by a link that stays inside, and a file";
    EXPECT_NE(cri().Exec(id, {"touch", "/data/new"}).code, 0);
    EXPECT_EQ(cri().Shell(id, "ls -d /i 2>/dev/null || echo hidden"), "hidden");
    EXPECT_EQ(cri().Status(id).mounts(0).image_sub_path(), "models");
  }
}

TEST_F(ImageVolumeTest, RootOfAUserNamespaceOwnsTheFiles) {
  v1::PodSandboxConfig config = cri().PodConfig("mapped");
  auto& user =
      *config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->mutable_userns_options();
  user.set_mode(v1::POD);
  for (auto* list : {user.mutable_uids(), user.mutable_gids()}) {
    v1::IDMapping& mapping = *list->Add();
    mapping.set_host_id(2'000'000);
    mapping.set_length(65536);
  }
  const std::string pod = cri().RunPod(config);
  v1::ContainerConfig container = WithImage(kTwoLayers);
  *container.add_mounts() = WithImage(kOneLayer).mounts(0);
  container.mutable_mounts(1)->set_container_path("/one");
  *container.add_mounts() = WithImage(kTwoLayers, "models").mounts(0);
  container.mutable_mounts(2)->set_container_path("/models");
  const std::string id = cri().Run(pod, container);
  EXPECT_EQ(cri().Shell(id, "stat -c %u:%g /data/private /one/private /models/a"), "0:0\n0:0\n0:0");
  EXPECT_EQ(cri().Shell(id, "cat /data/private"), "for root only");
}

TEST_F(ImageVolumeTest, NoexecAndItsLikeHold) {
  const std::string pod = cri().RunPod("options");
  v1::ContainerConfig config = WithImage(kTwoLayers);
  config.mutable_mounts(0)->add_mount_options("noexec");
  const std::string host = daemon() / "bound";
  WriteText(host + "/run.sh", "#!/bin/sh\necho it runs\n");
  std::filesystem::permissions(host + "/run.sh", std::filesystem::perms(0755));
  v1::Mount& bound = *config.add_mounts();
  bound.set_host_path(host);
  bound.set_container_path("/bound");
  for (const char* option : {"noexec", "nosuid", "nodev"}) bound.add_mount_options(option);
  const std::string id = cri().Run(pod, config);
  EXPECT_TRUE(Is(cri().Exec(id, {"/data/run.sh"}).status, StatusCode::INVALID_ARGUMENT, "Permission denied"));
  EXPECT_TRUE(Is(cri().Exec(id, {"/bound/run.sh"}).status, StatusCode::INVALID_ARGUMENT, "Permission denied"));
  EXPECT_NE(cri().Shell(id, "grep ' /bound ' /proc/mounts").find("rw,nosuid,nodev,noexec"), std::string::npos);
  EXPECT_EQ(cri().Status(id).mounts(1).mount_options_size(), 3);
}

TEST_F(ImageVolumeTest, LayersStayAsLongAsTheContainer) {
  const std::string pod = cri().RunPod("stay");
  const std::string id = cri().Create(pod, WithImage(kTwoLayers, "models"));
  ASSERT_TRUE(Ok(RemoveImage(kTwoLayers)));
  EXPECT_EQ(daemon().Terminate(), 0);
  ASSERT_TRUE(daemon().Restart());
  ASSERT_TRUE(Ok(cri().TryStart(id)));
  EXPECT_EQ(cri().Shell(id, "cat /data/a"), "changed");
}

TEST_F(ImageVolumeTest, WhatCannotBeIsSaidAtTheCreation) {
  const std::string pod = cri().RunPod("bad");
  const LeakAudit before = daemon().Audit();
  struct Case {
    std::string image, sub_path;
    StatusCode code;
    std::string part;
  };
  for (const Case& bad : {Case{"localhost/none:1", "", StatusCode::NOT_FOUND, "ImageVolumeMountFailed"},
                          Case{kTwoLayers, "nothing", StatusCode::INVALID_ARGUMENT, "ImageVolumeMountFailed"},
                          Case{kTwoLayers, "models/b", StatusCode::INVALID_ARGUMENT, "ImageVolumeMountFailed"},
                          Case{kTwoLayers, "outside", StatusCode::INVALID_ARGUMENT, "leads out of the image"},
                          Case{kTwoLayers, "absolute", StatusCode::INVALID_ARGUMENT, "leads out of the image"},
                          Case{kTwoLayers, "../etc", StatusCode::INVALID_ARGUMENT, "image_sub_path"},
                          Case{kTwoLayers, "/models", StatusCode::INVALID_ARGUMENT, "image_sub_path"}}) {
    EXPECT_TRUE(Is(cri().TryCreate(pod, WithImage(bad.image, bad.sub_path)), bad.code, bad.part)) << bad.sub_path;
  }
  v1::ContainerConfig config = WithImage(kTwoLayers);
  config.mutable_mounts(0)->set_readonly(false);
  EXPECT_TRUE(Is(cri().TryCreate(pod, config), StatusCode::INVALID_ARGUMENT, "readonly"));
  config = WithImage(kTwoLayers);
  config.mutable_mounts(0)->set_host_path("/tmp");
  EXPECT_TRUE(Is(cri().TryCreate(pod, config), StatusCode::INVALID_ARGUMENT, "host_path"));
  config = WithImage(kTwoLayers);
  config.mutable_mounts(0)->add_mount_options("exec");
  EXPECT_TRUE(Is(cri().TryCreate(pod, config), StatusCode::INVALID_ARGUMENT, "mount_options[0]"));
  EXPECT_TRUE(daemon().NothingLeakedSince(before));
}

}  // namespace
}  // namespace fermata::testing
