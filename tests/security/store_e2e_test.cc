// Rows about images and what lies on disk, by requests to the daemon.
#include <sys/mount.h>
#include <sys/utsname.h>

#include <cstdio>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"
#include "tests/fixtures/canary.h"

namespace fermata::testing {
namespace {

// Also what was moved before its removal was given up.
void UnmountBelow(const std::string& directory) {
  std::istringstream mounts(ReadText("/proc/self/mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string target;
    for (int i = 0; i < 5; ++i) fields >> target;
    if (target.starts_with(directory + "/")) (void)::umount2(target.c_str(), MNT_DETACH);
  }
}

class StoreRows : public DaemonTest {
 protected:
  void TearDown() override {
    if (!IsSkipped()) UnmountBelow(daemon().base());
    DaemonTest::TearDown();
  }

  TemporaryDirectory directory_;
};

TEST_F(StoreRows, M05VolumesAndWorkingDirectoriesOfAnImageStayInside) {
  const Canary canary(directory_ / "canary");
  const std::string pod = cri().RunPod("hostile-image");
  const std::string paths[] = {"/../.." + canary.directory(),
                               "/link/x",
                               "/link/sub",
                               "/proc/1/root",
                               "/proc/self/cwd/x",
                               "/relative-link/x",
                               "/dangling"};
  Json volumes = Json::object();
  for (const std::string& path : paths) volumes[path] = Json::object();
  int serial = 0;
  for (const std::string& path : paths) {
    const std::string name = "localhost/hostile:" + std::to_string(serial++);
    auto image = BusyboxImage(name);
    auto& entries = image.layers.front().entries;
    entries.push_back(overlay::testing::Symlink("link", canary.directory()));
    entries.push_back(overlay::testing::Symlink("relative-link", "../../../../.." + canary.directory()));
    entries.push_back(overlay::testing::Symlink("dangling", canary.directory() + "/new"));
    image.run["WorkingDir"] = path;
    image.run["Volumes"] = volumes;
    ASSERT_TRUE(daemon().Import(overlay::testing::OciArchiveOf({image})));
    for (const char* directory : {"", "/"}) {  // the image's own, and one that leaves the volumes to be seen
      v1::ContainerConfig config = Cri::ContainerConfig("c" + std::to_string(serial) + (*directory == 0 ? "i" : "r"),
                                                        {"sh", "-c", "echo x > new; ls; ls " + path + "/"});
      config.mutable_image()->set_image(name);
      config.set_working_dir(directory);
      std::string id;
      if (!cri().TryCreate(pod, config, &id).ok()) continue;
      if (cri().TryStart(id).ok()) {
        const std::string output = ReadText(cri().WaitExited(id).log_path());
        EXPECT_EQ(output.find("outside"), std::string::npos) << path << output;
      }
      EXPECT_TRUE(Ok(cri().Remove(id)));
    }
    canary.ExpectUnchanged();
  }
}

TEST_F(StoreRows, M06WhatIsBoundIntoTheDirectoryOfASandboxOutlivesItsRemoval) {
  const Canary canary(directory_ / "canary");
  v1::PodSandboxConfig config = cri().PodConfig("removed");
  const std::string pod = cri().RunPod(config);
  const std::string id = cri().Run(pod, Cri::ContainerConfig("c", {"sleep", "1000"}));
  cri().Shell(id,
              "ln -s " + canary.directory() + " /link; mkdir -p /deep/er; ln -s " + canary.directory() + " /deep/er/l");
  const std::string sandbox = daemon().run_dir() + "/sandboxes/" + pod;
  const std::string snapshot = daemon().data_dir() + "/snapshots";
  std::vector<std::string> bound = {sandbox + "/bound"};
  for (const auto& entry : std::filesystem::directory_iterator(snapshot)) {
    if (entry.is_directory()) bound.push_back(entry.path() / "bound");
  }
  ASSERT_GE(bound.size(), 2U);
  for (const std::string& target : bound) {
    std::filesystem::create_directory(target);
    ASSERT_EQ(::mount(canary.directory().c_str(), target.c_str(), nullptr, MS_BIND, nullptr), 0);
  }
  (void)cri().RemovePod(pod);  // may say that it could not remove all
  canary.ExpectUnchanged();
  UnmountBelow(daemon().base());
  EXPECT_TRUE(Ok(cri().RemovePod(pod)));
  canary.ExpectUnchanged();
  EXPECT_FALSE(std::filesystem::exists(sandbox));
}

TEST_F(StoreRows, M15AFullSharedMemoryIsThePodsAlone) {
  const std::string full = cri().Run(cri().RunPod("full"), Cri::ContainerConfig("a", {"sleep", "1000"}));
  const std::string other = cri().Run(cri().RunPod("other"), Cri::ContainerConfig("b", {"sleep", "1000"}));
  EXPECT_NE(cri().Exec(full, {"dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=65"}).code, 0);
  cri().Shell(other, "dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null");
}

TEST(StoreDirectory, M16ADataDirectoryFullOfOptionCharactersIsOnlyAPath) {
  if (!CanRun()) GTEST_SKIP() << "needs root and a cgroup2 mount";
  const TemporaryDirectory directory;
  Daemon daemon(directory / "d");
  // A comma only where the kernel takes one (Linux 6.5).
  utsname kernel{};
  ASSERT_EQ(::uname(&kernel), 0);
  int major = 0;
  int minor = 0;
  ASSERT_EQ(std::sscanf(kernel.release, "%d.%d", &major, &minor), 2);
  daemon.data_name = std::string("data:x\\:y=1") + (major * 100 + minor >= 605 ? ",userxattr\\,redirect_dir=on" : "");
  ASSERT_TRUE(daemon.Start());
  EXPECT_TRUE(daemon.Import(BusyboxArchive()));
  Cri cri(daemon);
  const std::string pod = cri.RunPod("comma");
  const auto outcome = cri.RunToEnd(
      pod, Cri::ContainerConfig("c", {"sh", "-c", "echo x > /made && cat /made; grep ' / / ' /proc/self/mountinfo"}));
  EXPECT_EQ(outcome.out.substr(0, 2), "x\n") << outcome.out << outcome.err;
  EXPECT_EQ(outcome.out.find(",userxattr"), std::string::npos) << outcome.out;
  daemon.End();
}

TEST_F(StoreRows, I04AFlippedBitAnywhereInABlobIsNeverAccepted) {
  auto image = BusyboxImage("localhost/flipped:1");
  image.layers = {overlay::testing::LayerSpec{.entries = {overlay::testing::File("file", std::string(20'000, 'c'))}}};
  image.layers.front().compression = overlay::testing::Compression::kNone;
  const std::string archive = overlay::testing::OciArchiveOf({image});
  const size_t begin = archive.find(std::string(2000, 'c'));
  ASSERT_NE(begin, std::string::npos) << "the layer is packed";
  for (int i = 0; i < 100; ++i) {
    std::string flipped = archive;
    flipped[begin + static_cast<size_t>(i) * 199] = static_cast<char>('c' ^ 1 << i % 8);
    EXPECT_FALSE(daemon().TryImport(flipped).ok()) << i;
  }
  EXPECT_TRUE(daemon().Import(archive));
}

TEST_F(StoreRows, I11NoPrefixOfAnIdMeansTwoImagesAndNoPathMeansOne) {
  for (int i = 0; i < 8; ++i) {
    auto image = BusyboxImage("localhost/many:" + std::to_string(i));
    image.layers.back().entries.push_back(overlay::testing::File("number", std::to_string(i)));
    ASSERT_TRUE(daemon().Import(overlay::testing::OciArchiveOf({image})));
  }
  v1::ListImagesRequest list;
  v1::ListImagesResponse all;
  ASSERT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::ListImages, list, &all)));
  const int before = all.images_size();
  for (const char* text : {"sha256", "sha256:", "..", "../..", "/", "s", "", "blobs/sha256"}) {
    v1::RemoveImageRequest request;
    v1::RemoveImageResponse response;
    request.mutable_image()->set_image(text);
    (void)Call(*daemon().images, &v1::ImageService::Stub::RemoveImage, request, &response);
    ASSERT_TRUE(Ok(Call(*daemon().images, &v1::ImageService::Stub::ListImages, list, &all)));
    EXPECT_EQ(all.images_size(), before) << text;
  }
}

}  // namespace
}  // namespace fermata::testing
