// Which namespaces the containers of a pod share, with each other and with the host.
#include <sys/utsname.h>

#include "tests/e2e/cri_client.h"

namespace fermata::testing {
namespace {

const std::vector<std::string> kSleep = {"sleep", "1000"};

class NamespacesTest : public DaemonTest {
 protected:
  v1::PodSandboxConfig PodWith(const std::string& name, v1::NamespaceMode network, v1::NamespaceMode pid,
                               v1::NamespaceMode ipc = v1::POD) {
    v1::PodSandboxConfig config = cri().PodConfig(name);
    auto& options = *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
    options.set_network(network);
    options.set_pid(pid);
    options.set_ipc(ipc);
    return config;
  }
  static v1::ContainerConfig ContainerWith(const std::string& name, v1::NamespaceMode pid,
                                           const std::string& target = "") {
    v1::ContainerConfig config = Cri::ContainerConfig(name, kSleep);
    auto& options = *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
    options.set_pid(pid);
    options.set_target_id(target);
    return config;
  }
  std::string Namespace(const std::string& id, const std::string& kind) {
    return std::filesystem::read_symlink("/proc/" + std::to_string(cri().Pid(id)) + "/ns/" + kind);
  }
  static std::string HostNamespace(const std::string& kind) {
    return std::filesystem::read_symlink("/proc/self/ns/" + kind);
  }
};

TEST_F(NamespacesTest, ContainersOfAPodShareNetworkIpcUtsAndWhenAskedProcesses) {
  const std::string pod = cri().RunPod(PodWith("pod", v1::POD, v1::POD));
  const std::string a = cri().Run(pod, ContainerWith("a", v1::POD));
  const std::string b = cri().Run(pod, ContainerWith("b", v1::POD));
  for (const char* kind : {"net", "ipc", "uts", "pid"}) {
    EXPECT_EQ(Namespace(a, kind), Namespace(b, kind)) << kind;
    EXPECT_NE(Namespace(a, kind), HostNamespace(kind)) << kind;
  }
  for (const char* kind : {"mnt", "cgroup"}) EXPECT_NE(Namespace(a, kind), HostNamespace(kind)) << kind;
  EXPECT_NE(Namespace(a, "mnt"), Namespace(b, "mnt"));
  EXPECT_EQ(cri().Shell(a, "pidof sleep | wc -w"), "2");
  EXPECT_EQ(cri().PodStatus(pod).linux().namespaces().options().pid(), v1::POD);
}

TEST_F(NamespacesTest, AContainerOfItsOwnPidNamespaceIsItsFirstProcess) {
  const std::string pod = cri().RunPod(PodWith("own", v1::POD, v1::CONTAINER));
  const std::string a = cri().Run(pod, ContainerWith("a", v1::CONTAINER));
  const std::string b = cri().Run(pod, ContainerWith("b", v1::CONTAINER));
  EXPECT_NE(Namespace(a, "pid"), Namespace(b, "pid"));
  EXPECT_EQ(Namespace(a, "net"), Namespace(b, "net"));
  EXPECT_EQ(cri().Shell(a, "pidof sleep"), "1");
  EXPECT_EQ(cri().PodStatus(pod).linux().namespaces().options().pid(), v1::CONTAINER);
}

TEST_F(NamespacesTest, ATargetedContainerSeesTheProcessesOfItsTarget) {
  const std::string pod = cri().RunPod(PodWith("target", v1::POD, v1::CONTAINER));
  const std::string target = cri().Run(pod, ContainerWith("target", v1::CONTAINER));
  const std::string debug = cri().Run(pod, ContainerWith("debug", v1::TARGET, target));
  EXPECT_EQ(Namespace(target, "pid"), Namespace(debug, "pid"));
  EXPECT_NE(cri().Shell(debug, "ps -o pid,args").find("1 sleep 1000"), std::string::npos);
  EXPECT_TRUE(Is(cri().TryCreate(pod, ContainerWith("lost", v1::TARGET, std::string(64, '0'))),
                 grpc::StatusCode::INVALID_ARGUMENT, "target"));
}

TEST_F(NamespacesTest, OnTheHostsPidNamespaceEveryProcessIsSeen) {
  const std::string pod = cri().RunPod(PodWith("node-pid", v1::POD, v1::NODE));
  const std::string id = cri().Run(pod, ContainerWith("a", v1::NODE));
  EXPECT_EQ(Namespace(id, "pid"), HostNamespace("pid"));
  EXPECT_EQ(cri().Shell(id, "readlink /proc/self/ns/pid"), HostNamespace("pid"));
  EXPECT_EQ(cri().Shell(id, "test -d /proc/" + std::to_string(::getpid()) + " && echo seen"), "seen");
  ASSERT_TRUE(Ok(cri().Stop(id, 0)));
  EXPECT_EQ(cri().Status(id).exit_code(), 137);
}

TEST_F(NamespacesTest, OnTheHostsNetworkThePodHasTheHostsNameAndFiles) {
  utsname host{};
  ::uname(&host);
  const std::string pod = cri().RunPod(PodWith("node-net", v1::NODE, v1::CONTAINER));
  const std::string id = cri().Run(pod, ContainerWith("a", v1::CONTAINER));
  EXPECT_EQ(Namespace(id, "net"), HostNamespace("net"));
  EXPECT_EQ(cri().Shell(id, "hostname"), host.nodename);
  EXPECT_EQ(cri().Shell(id, "cat /etc/hostname"), host.nodename);
  if (const std::string hosts = ReadText("/etc/hosts"); !hosts.empty()) {
    EXPECT_EQ(cri().Exec(id, {"cat", "/etc/hosts"}).out, hosts);
  }
  EXPECT_TRUE(cri().PodStatus(pod).network().ip().empty());
}

TEST_F(NamespacesTest, OnTheHostsIpcThePodSeesTheHostsSharedMemory) {
  const std::string name = "fermata-e2e-" + std::to_string(::getpid());
  WriteText("/dev/shm/" + name, "from the host");
  const std::string pod = cri().RunPod(PodWith("node-ipc", v1::POD, v1::CONTAINER, v1::NODE));
  const std::string id = cri().Run(pod, ContainerWith("a", v1::CONTAINER));
  EXPECT_EQ(Namespace(id, "ipc"), HostNamespace("ipc"));
  EXPECT_EQ(cri().Shell(id, "cat /dev/shm/" + name), "from the host");
  std::filesystem::remove("/dev/shm/" + name);
}

TEST_F(NamespacesTest, ThePodHasALoopbackAndItsContainersMeetOnIt) {
  const std::string pod = cri().RunPod("loop");
  const std::string server = cri().Run(
      pod, Cri::ContainerConfig(
               "server", {"sh", "-c", "mkdir /www; echo served > /www/index.html; exec httpd -f -p 8080 -h /www"}));
  const std::string client = cri().Run(pod, Cri::ContainerConfig("client", kSleep));
  EXPECT_EQ(cri().Shell(client,
                        "for i in `seq 200`; do wget -q -O - http://localhost:8080/ 2>/dev/null && exit; "
                        "usleep 20000; done; exit 1"),
            "served");
  EXPECT_EQ(cri().Shell(client, "ls /sys/class/net"), "lo");
}

TEST_F(NamespacesTest, SharedMemoryIsThePodsAndOfTheUsualSize) {
  const std::string pod = cri().RunPod("shm");
  const std::string a = cri().Run(pod, Cri::ContainerConfig("a", kSleep));
  const std::string b = cri().Run(pod, Cri::ContainerConfig("b", kSleep));
  cri().Shell(a, "echo hello > /dev/shm/x");
  EXPECT_EQ(cri().Shell(b, "cat /dev/shm/x"), "hello");
  EXPECT_EQ(cri().Shell(b, "busybox df -k /dev/shm | tail -n 1 | busybox awk '{print $2}'"), "65536");
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/x"));
}

TEST_F(NamespacesTest, SysctlsAreSetInThePodAndOnlyThere) {
  const std::string host_value = ReadText("/proc/sys/kernel/shm_rmid_forced");
  v1::PodSandboxConfig config = cri().PodConfig("sysctl");
  (*config.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] = "1";
  (*config.mutable_linux()->mutable_sysctls())["net.ipv4.ip_local_port_range"] = "1024 65000";
  const std::string pod = cri().RunPod(config);
  const std::string id = cri().Run(pod, Cri::ContainerConfig("a", kSleep));
  EXPECT_EQ(cri().Shell(id, "cat /proc/sys/kernel/shm_rmid_forced"), "1");
  EXPECT_EQ(cri().Shell(id, "cat /proc/sys/net/ipv4/ip_local_port_range"), "1024\t65000");
  EXPECT_EQ(ReadText("/proc/sys/kernel/shm_rmid_forced"), host_value);
  v1::PodSandboxConfig bad = cri().PodConfig("bad-sysctl");
  (*bad.mutable_linux()->mutable_sysctls())["kernel.hostname"] = "other";
  EXPECT_TRUE(Is(cri().TryRunPod(bad), grpc::StatusCode::INVALID_ARGUMENT, "kernel.hostname"));
  v1::PodSandboxConfig host = PodWith("host-sysctl", v1::NODE, v1::CONTAINER);
  (*host.mutable_linux()->mutable_sysctls())["net.ipv4.ip_local_port_range"] = "1024 65000";
  EXPECT_TRUE(Is(cri().TryRunPod(host), grpc::StatusCode::INVALID_ARGUMENT, "net.ipv4"));
}

TEST_F(NamespacesTest, AbsurdNamespacesAreRefused) {
  EXPECT_EQ(cri().TryRunPod(PodWith("x", v1::TARGET, v1::POD)).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(cri().TryRunPod(PodWith("x", v1::POD, v1::TARGET)).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(cri().TryRunPod(PodWith("x", v1::POD, v1::POD, v1::CONTAINER)).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(cri().Pods().empty());
}

}  // namespace
}  // namespace fermata::testing
