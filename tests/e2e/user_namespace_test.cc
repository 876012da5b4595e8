// Pods with a user namespace of their own: ids, ownership of layers and volumes, shared and own PID namespaces, execs.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/e2e/cri_client.h"

namespace fermata::testing {
namespace {

constexpr uint32_t kHostIds = 1'000'000;
constexpr uint32_t kIds = 65536;
const std::vector<std::string> kSleep = {"sleep", "1000"};

// The daemon runs where every mount is shared, as systemd leaves them: what a container does to a tree of the host must
// not come back to it.
class UserNamespaceTest : public DaemonTest {
 protected:
  static void SetUpTestSuite() {
    if (IsRoot()) {
      ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
      for (const unsigned long kind : {MS_PRIVATE, MS_SHARED}) {
        ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | kind, nullptr), 0);
      }
    }
    DaemonTest::SetUpTestSuite();
  }
  static std::string HostMounts() { return ReadText("/proc/self/mountinfo"); }

  v1::PodSandboxConfig MappedPod(const std::string& name, v1::NamespaceMode pid = v1::POD,
                                 v1::NamespaceMode network = v1::POD) {
    v1::PodSandboxConfig config = cri().PodConfig(name);
    auto& options = *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
    options.set_pid(pid);
    options.set_network(network);
    auto& user = *options.mutable_userns_options();
    user.set_mode(v1::POD);
    for (auto* list : {user.mutable_uids(), user.mutable_gids()}) {
      v1::IDMapping& mapping = *list->Add();
      mapping.set_host_id(kHostIds);
      mapping.set_length(kIds);
    }
    return config;
  }
  static v1::ContainerConfig Container(const std::string& name, v1::NamespaceMode pid = v1::POD) {
    v1::ContainerConfig config = Cri::ContainerConfig(name, kSleep);
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(pid);
    return config;
  }
  std::string OfProcess(const std::string& id, const std::string& file) {
    std::ifstream stream("/proc/" + std::to_string(cri().Pid(id)) + "/" + file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::string Namespace(const std::string& id, const std::string& kind) {
    return std::filesystem::read_symlink("/proc/" + std::to_string(cri().Pid(id)) + "/ns/" + kind);
  }
};

TEST_F(UserNamespaceTest, RootInsideIsNobodyOutside) {
  const std::string pod = cri().RunPod(MappedPod("user"));
  const std::string id = cri().Run(pod, Container("c"));
  EXPECT_EQ(cri().Shell(id, "id -u; id -g"), "0\n0");
  EXPECT_NE(OfProcess(id, "status").find("Uid:\t1000000\t1000000\t1000000\t1000000"), std::string::npos);
  EXPECT_NE(OfProcess(id, "uid_map").find("1000000"), std::string::npos);
  // The image's files are root's; what is written belongs to the mapped root on the host.
  EXPECT_EQ(cri().Shell(id, "stat -c %u:%g / /bin/busybox"), "0:0\n0:0");
  EXPECT_EQ(cri().Shell(id, "touch /written && stat -c %u /written"), "0");
  EXPECT_EQ(cri().Shell(id, "stat -c %u:%g /proc/1 /dev/null /dev/shm"), "0:0\n65534:65534\n0:0");
  EXPECT_EQ(cri().Shell(id, "echo x > /dev/null && head -c1 /dev/zero | wc -c"), "1");
  EXPECT_EQ(cri().Shell(id, "mknod /dev/sda b 8 0 2>/dev/null || echo refused"), "refused");
  const v1::NamespaceOption options = cri().PodStatus(pod).linux().namespaces().options();
  ASSERT_EQ(options.userns_options().uids_size(), 1);
  EXPECT_EQ(options.userns_options().uids(0).host_id(), kHostIds);
}

TEST_F(UserNamespaceTest, AllNamespacesOfThePodBelongToIt) {
  const std::string pod = cri().RunPod(MappedPod("all"));
  const std::string a = cri().Run(pod, Container("a"));
  const std::string b = cri().Run(pod, Container("b"));
  for (const char* kind : {"user", "net", "ipc", "uts", "pid"})
    EXPECT_EQ(Namespace(a, kind), Namespace(b, kind)) << kind;
  // Rights over a namespace are rights of its owner: the name may be set, were the capability there.
  v1::ContainerConfig config = Cri::ContainerConfig("admin", {"sh", "-c", "hostname renamed && hostname"});
  config.mutable_linux()->mutable_security_context()->mutable_capabilities()->add_add_capabilities("SYS_ADMIN");
  EXPECT_EQ(cri().RunToEnd(pod, config).out, "renamed\n");
}

TEST_F(UserNamespaceTest, APidNamespaceOfItsOwnIsBornInside) {
  const std::string pod = cri().RunPod(MappedPod("own", v1::CONTAINER));
  const std::string id = cri().Run(pod, Container("c", v1::CONTAINER));
  EXPECT_EQ(cri().Shell(id, "cat /proc/1/comm"), "sleep");
  EXPECT_EQ(cri().Shell(id, "grep -c ' /proc ' /proc/self/mountinfo"), "1");
  ASSERT_TRUE(Ok(cri().Stop(id, 0)));
  EXPECT_EQ(cri().Status(id).exit_code(), 137);
}

TEST_F(UserNamespaceTest, WithTheHostsNetworkSysfsIsTheHostsReadOnly) {
  const std::string before = HostMounts();
  const std::string pod = cri().RunPod(MappedPod("hostnet", v1::POD, v1::NODE));
  v1::ContainerConfig config = Container("c");
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(v1::NODE);
  const std::string id = cri().Run(pod, config);
  EXPECT_EQ(Namespace(id, "net"), std::filesystem::read_symlink("/proc/self/ns/net"));
  EXPECT_EQ(cri().Shell(id, "test -d /sys/class/net/lo && echo there"), "there");
  EXPECT_EQ(cri().Shell(id, "touch /sys/x 2>&1 | grep -c Read-only"), "1");
  EXPECT_EQ(HostMounts(), before);
  ASSERT_TRUE(Ok(cri().StopPod(pod)));
  EXPECT_EQ(HostMounts(), before);
}

TEST_F(UserNamespaceTest, AMappedVolumeShowsItsOwnersInside) {
  const std::filesystem::path volume = daemon() / "volume";
  std::filesystem::create_directory(volume);
  std::ofstream(volume / "file") << "text";
  ASSERT_EQ(::chown((volume / "file").c_str(), 1000, 1000), 0);
  const std::string pod = cri().RunPod(MappedPod("volume"));
  v1::ContainerConfig config = Container("c");
  v1::Mount& mount = *config.add_mounts();
  mount.set_container_path("/volume");
  mount.set_host_path(volume);
  for (auto* list : {mount.mutable_uidmappings(), mount.mutable_gidmappings()}) {
    v1::IDMapping& mapping = *list->Add();
    mapping.set_host_id(kHostIds);
    mapping.set_length(kIds);
  }
  const std::string id = cri().Run(pod, config);
  EXPECT_EQ(cri().Shell(id, "stat -c %u:%g /volume/file"), "1000:1000");
  EXPECT_EQ(cri().Shell(id, "touch /volume/new && stat -c %u /volume/new"), "0");
  struct stat status {};
  ASSERT_EQ(::stat((volume / "new").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 0U) << "on the host it is root's: ids are mapped at the mount";
}

TEST_F(UserNamespaceTest, AUserThatIsNotMappedIsRefusedBeforeAnythingRuns) {
  const std::string pod = cri().RunPod(MappedPod("unmapped"));
  v1::ContainerConfig config = Container("c");
  config.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(kIds);
  EXPECT_TRUE(Is(cri().TryCreate(pod, config), grpc::StatusCode::INVALID_ARGUMENT, "is not mapped"));
  v1::PodSandboxConfig bad = MappedPod("bad", v1::NODE);
  EXPECT_TRUE(Is(cri().TryRunPod(bad), grpc::StatusCode::INVALID_ARGUMENT, "host's PID namespace"));
}

TEST_F(UserNamespaceTest, ThePodOutlivesTheDaemonAndTakesNewContainers) {
  const std::string pod = cri().RunPod(MappedPod("lives"));
  const std::string id = cri().Run(pod, Container("c"));
  daemon().Kill9();
  ASSERT_TRUE(daemon().Restart());
  EXPECT_EQ(cri().Shell(id, "id -u"), "0");
  const std::string late = cri().Run(pod, Container("late"));
  EXPECT_EQ(Namespace(id, "user"), Namespace(late, "user"));
}

}  // namespace
}  // namespace fermata::testing
