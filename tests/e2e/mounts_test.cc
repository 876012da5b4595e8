// What is mounted into a container: binds and how deep read-only goes, propagation, the pod's files, the root itself.
#include <sys/mount.h>

#include "tests/e2e/cri_client.h"

namespace fermata::testing {
namespace {

const std::vector<std::string> kSleep = {"sleep", "1000"};

class MountsTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (IsSkipped()) return;
    pod_ = cri().RunPod("mounts");
    host_ = directory_ / "host";
    WriteText(host_ + "/file", "of the host\n");
  }

  v1::Mount& Add(v1::ContainerConfig& config, const std::string& host, const std::string& container) {
    v1::Mount& mount = *config.add_mounts();
    mount.set_host_path(host);
    mount.set_container_path(container);
    return mount;
  }
  // Of one bind of the host directory at /mnt.
  v1::ContainerConfig Bound(const std::string& name, bool readonly) {
    v1::ContainerConfig config = Cri::ContainerConfig(name, kSleep);
    Add(config, host_, "/mnt").set_readonly(readonly);
    return config;
  }
  bool CanWrite(const std::string& id, const std::string& path) { return cri().Exec(id, {"touch", path}).code == 0; }

  TemporaryDirectory directory_;
  std::string pod_, host_;
};

TEST_F(MountsTest, ABindIsWritableUnlessAskedOtherwise) {
  const std::string writable = cri().Run(pod_, Bound("rw", false));
  EXPECT_EQ(cri().Shell(writable, "cat /mnt/file"), "of the host");
  cri().Shell(writable, "echo back > /mnt/answer");
  EXPECT_EQ(ReadText(host_ + "/answer"), "back\n");
  const std::string readonly = cri().Run(pod_, Bound("ro", true));
  EXPECT_FALSE(CanWrite(readonly, "/mnt/new"));
  const v1::ContainerStatus status = cri().Status(readonly);
  ASSERT_EQ(status.mounts_size(), 1);
  EXPECT_EQ(status.mounts(0).container_path(), "/mnt");
  EXPECT_EQ(status.mounts(0).host_path(), host_);
  EXPECT_TRUE(status.mounts(0).readonly());
}

TEST_F(MountsTest, ReadOnlyReachesSubmountsOnlyWhenRecursive) {
  std::filesystem::create_directory(host_ + "/sub");
  ASSERT_EQ(::mount("tmpfs", (host_ + "/sub").c_str(), "tmpfs", 0, "size=64k"), 0);
  v1::ContainerConfig recursive = Bound("rro", true);
  recursive.mutable_mounts(0)->set_recursive_read_only(true);
  const std::string flat = cri().Run(pod_, Bound("ro", true));
  const std::string deep = cri().Run(pod_, recursive);
  EXPECT_FALSE(CanWrite(flat, "/mnt/x"));
  EXPECT_TRUE(CanWrite(flat, "/mnt/sub/x"));
  EXPECT_FALSE(CanWrite(deep, "/mnt/x"));
  EXPECT_FALSE(CanWrite(deep, "/mnt/sub/x"));
  EXPECT_TRUE(cri().Status(deep).mounts(0).recursive_read_only());
  for (const std::string& id : {flat, deep}) EXPECT_TRUE(Ok(cri().Remove(id)));
  EXPECT_EQ(::umount((host_ + "/sub").c_str()), 0);
}

TEST_F(MountsTest, RecursiveReadOnlyNeedsReadonlyAndPrivate) {
  v1::ContainerConfig config = Bound("bad", false);
  config.mutable_mounts(0)->set_recursive_read_only(true);
  EXPECT_TRUE(Is(cri().TryCreate(pod_, config), grpc::StatusCode::INVALID_ARGUMENT, "recursive_read_only"));
  config = Bound("bad", true);
  config.mutable_mounts(0)->set_recursive_read_only(true);
  config.mutable_mounts(0)->set_propagation(v1::PROPAGATION_HOST_TO_CONTAINER);
  EXPECT_TRUE(Is(cri().TryCreate(pod_, config), grpc::StatusCode::INVALID_ARGUMENT, "recursive_read_only"));
}

TEST_F(MountsTest, PropagationNeedsASourceThatIsShared) {
  ASSERT_EQ(::mount(host_.c_str(), host_.c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount(nullptr, host_.c_str(), nullptr, MS_PRIVATE, nullptr), 0);
  for (const auto mode : {v1::PROPAGATION_BIDIRECTIONAL, v1::PROPAGATION_HOST_TO_CONTAINER}) {
    v1::ContainerConfig config = Bound("private-" + std::to_string(mode), false);
    config.mutable_mounts(0)->set_propagation(mode);
    std::string id;
    grpc::Status status = cri().TryCreate(pod_, config, &id);
    if (status.ok()) status = cri().TryStart(id);
    EXPECT_FALSE(status.ok()) << v1::MountPropagation_Name(mode);
    EXPECT_NE(status.error_message().find(host_), std::string::npos) << status.error_message();
  }
  ASSERT_EQ(::mount(nullptr, host_.c_str(), nullptr, MS_SHARED, nullptr), 0);
  v1::ContainerConfig config = Bound("slave", false);
  config.mutable_mounts(0)->set_propagation(v1::PROPAGATION_HOST_TO_CONTAINER);
  const std::string slave = cri().Run(pod_, config);
  std::filesystem::create_directory(host_ + "/later");
  ASSERT_EQ(::mount("tmpfs", (host_ + "/later").c_str(), "tmpfs", 0, "size=64k"), 0);
  WriteText(host_ + "/later/x", "seen");
  EXPECT_EQ(cri().Shell(slave, "cat /mnt/later/x"), "seen");
  EXPECT_TRUE(Ok(cri().Remove(slave)));
  EXPECT_EQ(::umount((host_ + "/later").c_str()), 0);
  EXPECT_EQ(::umount(host_.c_str()), 0);
}

TEST_F(MountsTest, ABidirectionalMountOfTheContainerReachesTheHost) {
  v1::PodSandboxConfig pod = cri().PodConfig("shared");
  pod.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string privileged_pod = cri().RunPod(pod);
  ASSERT_EQ(::mount(host_.c_str(), host_.c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount(nullptr, host_.c_str(), nullptr, MS_SHARED, nullptr), 0);
  std::filesystem::create_directory(host_ + "/sub");
  v1::ContainerConfig config = Bound("shared", false);
  config.mutable_mounts(0)->set_propagation(v1::PROPAGATION_BIDIRECTIONAL);
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string id = cri().Run(privileged_pod, config);
  cri().Shell(id, "mount -t tmpfs tmpfs /mnt/sub && echo inner > /mnt/sub/x");
  EXPECT_EQ(ReadText(host_ + "/sub/x"), "inner\n");
  EXPECT_TRUE(Ok(cri().RemovePod(privileged_pod)));
  EXPECT_EQ(::umount((host_ + "/sub").c_str()), 0);
  EXPECT_EQ(::umount(host_.c_str()), 0);
}

TEST_F(MountsTest, AMissingSourceBecomesADirectoryAndALinkIsFollowed) {
  v1::ContainerConfig config = Cri::ContainerConfig("missing", kSleep);
  std::filesystem::create_symlink(host_, directory_ / "link");
  Add(config, directory_ / "made/by/us", "/made");
  Add(config, directory_ / "link", "/linked");
  Add(config, host_ + "/file", "/etc/single");
  const std::string id = cri().Run(pod_, config);
  EXPECT_TRUE(std::filesystem::is_directory(directory_ / "made/by/us"));
  EXPECT_EQ(cri().Shell(id, "cat /linked/file /etc/single"), "of the host\nof the host");
}

TEST_F(MountsTest, TheInnerOfTwoMountsIsOnTopWhateverTheirOrder) {
  WriteText(directory_ / "inner/which", "inner\n");
  v1::ContainerConfig config = Cri::ContainerConfig("nested", kSleep);
  Add(config, directory_ / "inner", "/mnt/deep");
  Add(config, host_, "/mnt");
  const std::string id = cri().Run(pod_, config);
  EXPECT_EQ(cri().Shell(id, "cat /mnt/deep/which /mnt/file"), "inner\nof the host");
}

TEST_F(MountsTest, ThePodHasHostsHostnameAndResolvConf) {
  v1::PodSandboxConfig config = cri().PodConfig("files");
  config.mutable_dns_config()->add_servers("10.0.0.10");
  config.mutable_dns_config()->add_searches("svc.example");
  config.mutable_dns_config()->add_options("ndots:5");
  const std::string pod = cri().RunPod(config);
  const std::string id = cri().Run(pod, Cri::ContainerConfig("a", kSleep));
  EXPECT_EQ(cri().Shell(id, "hostname"), "files");
  EXPECT_EQ(cri().Shell(id, "cat /etc/hostname"), "files");
  EXPECT_EQ(cri().Shell(id, "cat /etc/resolv.conf"), "search svc.example\nnameserver 10.0.0.10\noptions ndots:5");
  const std::string hosts = cri().Shell(id, "cat /etc/hosts");
  EXPECT_NE(hosts.find("127.0.0.1\tlocalhost"), std::string::npos) << hosts;
  EXPECT_NE(hosts.find("files"), std::string::npos) << hosts;
  const std::string plain = cri().Run(pod_, Cri::ContainerConfig("b", kSleep));
  EXPECT_EQ(cri().Exec(plain, {"cat", "/etc/resolv.conf"}).out, ReadText("/etc/resolv.conf"));
}

TEST_F(MountsTest, AFileThatKubeletMountsItselfWins) {
  v1::ContainerConfig config = Cri::ContainerConfig("own-hosts", kSleep);
  Add(config, host_ + "/file", "/etc/hosts");
  EXPECT_EQ(cri().Shell(cri().Run(pod_, config), "cat /etc/hosts"), "of the host");
}

TEST_F(MountsTest, AReadOnlyRootHasNoPlaceToWrite) {
  v1::ContainerConfig config = Bound("frozen", false);
  config.mutable_linux()->mutable_security_context()->set_readonly_rootfs(true);
  const std::string id = cri().Run(pod_, config);
  for (const char* path : {"/x", "/tmp/x", "/etc/hosts"}) {
    EXPECT_NE(cri().Exec(id, {"sh", "-c", std::string("echo >> ") + path}).code, 0) << path;
  }
  EXPECT_TRUE(CanWrite(id, "/mnt/x"));
  EXPECT_TRUE(CanWrite(id, "/dev/shm/x"));
}

TEST_F(MountsTest, KernelFilesAreMaskedAndReadOnly) {
  const std::string id = cri().Run(pod_, Cri::ContainerConfig("masked", kSleep));
  EXPECT_EQ(cri().Shell(id, "ls /sys/firmware | wc -l"), "0");
  EXPECT_EQ(cri().Shell(id, "head -c 1 /proc/kcore | wc -c"), "0");
  EXPECT_NE(cri().Exec(id, {"sh", "-c", "echo 1 > /proc/sys/kernel/shm_rmid_forced"}).code, 0);
  EXPECT_NE(cri().Exec(id, {"sh", "-c", "echo h > /proc/sysrq-trigger"}).code, 0);
  EXPECT_NE(cri().Exec(id, {"mkdir", "/sys/fs/cgroup/x"}).code, 0);
  v1::ContainerConfig config = Cri::ContainerConfig("asked", kSleep);
  config.mutable_linux()->mutable_security_context()->add_masked_paths("/etc/passwd");
  config.mutable_linux()->mutable_security_context()->add_readonly_paths("/tmp");
  const std::string asked = cri().Run(pod_, config);
  EXPECT_EQ(cri().Shell(asked, "cat /etc/passwd | wc -c"), "0");
  EXPECT_FALSE(CanWrite(asked, "/tmp/x"));
}

TEST_F(MountsTest, EachContainerHasItsOwnRootAndTheImageStaysAsItIs) {
  const std::string a = cri().Run(pod_, Cri::ContainerConfig("a", kSleep));
  const std::string b = cri().Run(pod_, Cri::ContainerConfig("b", kSleep));
  cri().Shell(a, "echo mine > /etc/issue; rm /bin/touch");
  EXPECT_EQ(cri().Shell(b, "cat /etc/issue"), "busybox of Fermata's tests");
  EXPECT_TRUE(CanWrite(b, "/x"));
  const std::string c = cri().Run(pod_, Cri::ContainerConfig("c", kSleep));
  EXPECT_EQ(cri().Shell(c, "cat /etc/issue"), "busybox of Fermata's tests");
}

}  // namespace
}  // namespace fermata::testing
