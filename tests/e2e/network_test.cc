// Packets: pod to pod, node to pod, pod to node, pod to a remote host and from there to a host port; by Debian's CNI
// plugins and by the built-in network. In a network namespace of the test's own.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <thread>

#include "tests/e2e/network_fixture.h"
#include "tests/fixtures/busybox_image.h"
#include "tests/fixtures/temporary.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPlugins = "/usr/lib/cni";

enum class Kind : uint8_t { kCni, kBuiltin, kPlugin };

std::string PluginConflist(const std::string& data_dir) {
  return R"({"cniVersion":"1.1.0","name":"testnet","plugins":[{"type":"fermata-cni","dataDir":")" + data_dir +
         R"(","capabilities":{"portMappings":true}}]})";
}

std::string CniConflist(const std::string& ipam_dir) {
  return R"({"cniVersion":"1.0.0","name":"testnet","plugins":[
    {"type":"bridge","bridge":"tbr0","isGateway":true,"ipMasq":true,"hairpinMode":true,
     "ipam":{"type":"host-local","dataDir":")" +
         ipam_dir + R"(","ranges":[[{"subnet":"10.244.9.0/24"}],[{"subnet":"fd00:244:9::/64"}]],
             "routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}},
    {"type":"portmap","capabilities":{"portMappings":true},"snat":true}]})";
}

class NetworkTest : public ::testing::TestWithParam<Kind> {
 protected:
  static void SetUpTestSuite() {
    if (!CanRun()) return;
    ASSERT_TRUE(EnterOwnNetwork());
  }
  void SetUp() override {
    if (!CanRun()) GTEST_SKIP() << "needs root and a cgroup2 mount";
    if (!std::filesystem::exists(kPlugins)) GTEST_SKIP() << "needs containernetworking-plugins";
    const bool builtin = GetParam() == Kind::kBuiltin;
    daemon_ = std::make_unique<Daemon>(directory_ / "d");
    WriteText(*daemon_ / "config.toml", std::string("[cgroup]\nmissing_controllers = \"warn\"\n[network]\ncri = \"") +
                                            (builtin ? "builtin" : "cni") + "\"\ncni_bin_dir = [\"" + kPlugins +
                                            "\", \"" + FERMATA_BIN_DIR + "\"]\n");
    if (GetParam() == Kind::kCni) WriteText(*daemon_ / "cni/10.conflist", CniConflist(*daemon_ / "ipam"));
    if (GetParam() == Kind::kPlugin) WriteText(*daemon_ / "cni/10.conflist", PluginConflist(*daemon_ / "plugin"));
    ASSERT_TRUE(daemon_->Start());
    ASSERT_TRUE(daemon_->Import(BusyboxArchive()));
    cri_ = std::make_unique<Cri>(*daemon_);
    v1::StatusResponse status;
    ASSERT_TRUE(Ok(Call(*daemon_->runtime, &v1::RuntimeService::Stub::Status, v1::StatusRequest(), &status)));
    EXPECT_TRUE(status.status().conditions(1).status()) << status.DebugString();
    before_ = Interfaces();
  }
  void TearDown() override {
    if (daemon_ == nullptr) return;
    if (daemon_->pods != nullptr) daemon_->RemoveAllPods();
    EXPECT_TRUE(NoPins());  // while the daemon is there: debts of one that has ended wait for the next
    daemon_->End();
    daemon_.reset();
  }

  // Soon: a plugin that takes long holds up no stop (PodNetworkOptions::stop_wait).
  [[nodiscard]] ::testing::AssertionResult NoPins() const {
    const auto deadline = std::chrono::steady_clock::now() + Scaled(std::chrono::seconds(5));
    while (!Pins().empty()) {
      if (std::chrono::steady_clock::now() > deadline) return ::testing::AssertionFailure() << "left: " << Pins()[0];
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return ::testing::AssertionSuccess();
  }
  // Those of this daemon: other instances have their own.
  [[nodiscard]] std::vector<std::string> Pins() const {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/run/netns", ignored)) {
      for (const std::string& id : ids_) {
        if (entry.path().string().ends_with(id)) names.push_back(entry.path());
      }
    }
    return names;
  }
  struct Pod {
    std::string id, container, ip, ip6;
  };
  // Runs a web server on port 80 that says who asks.
  Pod Start(const v1::PodSandboxConfig& config) {
    Pod pod;
    pod.id = cri_->RunPod(config);
    ids_.push_back(pod.id);
    const v1::PodSandboxStatus status = cri_->PodStatus(pod.id);
    pod.ip = status.network().ip();
    if (status.network().additional_ips_size() == 1) pod.ip6 = status.network().additional_ips(0).ip();
    EXPECT_NE(pod.ip, "");
    EXPECT_NE(pod.ip6, "");
    pod.container = cri_->Run(
        pod.id, Cri::ContainerConfig("web", {"sh", "-c",
                                             "mkdir -p /tmp/w/cgi-bin; cd /tmp/w; "
                                             "printf '#!/bin/sh\\necho\\necho $REMOTE_ADDR\\n' >cgi-bin/ip; "
                                             "busybox chmod 755 cgi-bin/ip; exec httpd -f -p '[::]:80' -h /tmp/w"}));
    EXPECT_TRUE(pod.ip.empty() || WaitUntil([&] { return !Get(pod.ip, 80).starts_with("error"); })) << Get(pod.ip, 80);
    return pod;
  }
  Pod Start(const std::string& name) { return Start(cri_->PodConfig(name)); }
  static std::string Get(const std::string& address, int port) { return Plain(HttpGet(address, port, "/cgi-bin/ip")); }
  // A v4 address as a socket of v6 has it.
  static std::string Plain(std::string text) {
    if (text.starts_with("::ffff:")) text.erase(0, 7);
    if (text.starts_with("[::ffff:")) text.erase(0, 8);
    if (text.starts_with("[")) text.erase(0, 1);
    if (text.ends_with("]")) text.pop_back();
    return text;
  }
  std::string GetFrom(const Pod& pod, const std::string& address, int port) {
    return Plain(cri_->Shell(pod.container, "printf 'GET /cgi-bin/ip HTTP/1.0\\r\\n\\r\\n' | nc -w 5 " + address + " " +
                                                std::to_string(port) + " | tail -n 1"));
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Cri> cri_;
  std::set<std::string> before_;
  std::vector<std::string> ids_;
};

TEST_P(NetworkTest, PodsMeetAndSeeEachOthersOwnAddresses) {
  const Pod a = Start("a");
  const Pod b = Start("b");
  EXPECT_NE(a.ip, b.ip);
  EXPECT_EQ(GetFrom(a, b.ip, 80), a.ip);
  EXPECT_EQ(GetFrom(b, a.ip, 80), b.ip);
  EXPECT_EQ(GetFrom(a, b.ip6, 80), a.ip6);
  EXPECT_EQ(GetFrom(a, "127.0.0.1", 80), "127.0.0.1");
  EXPECT_THAT(cri_->Shell(a.container, "ip -4 addr show eth0"), HasSubstr(a.ip + "/"));
  EXPECT_THAT(cri_->Shell(a.container, "cat /etc/hosts"), HasSubstr(a.ip + "\ta\n" + a.ip6 + "\ta"));
}

TEST_P(NetworkTest, NodeAndPodMeet) {
  const Pod pod = Start("a");
  EXPECT_FALSE(Get(pod.ip, 80).starts_with("error"));
  EXPECT_FALSE(Get(pod.ip6, 80).starts_with("error"));
  const std::string gateway = cri_->Shell(pod.container, "ip -4 route show default | head -n 1");
  std::istringstream words(gateway);
  std::string word;
  for (int i = 0; i < 3; ++i) words >> word;
  const AddressServer server(word);
  EXPECT_EQ(cri_->Shell(pod.container, "nc " + word + " " + std::to_string(server.port())), pod.ip);
}

TEST_P(NetworkTest, ARemoteHostSeesTheNodeAndReachesHostPorts) {
  RemoteHost remote(directory_.path());
  remote.Serve();
  v1::PodSandboxConfig config = cri_->PodConfig("a");
  v1::PortMapping* port = config.add_port_mappings();
  port->set_container_port(80);
  port->set_host_port(8080);
  const Pod pod = Start(config);
  EXPECT_EQ(GetFrom(pod, "192.0.2.2", 9000), "192.0.2.1");
  EXPECT_EQ(GetFrom(pod, "2001:db8:2::2", 9000), "2001:db8:2::1");
  EXPECT_EQ(Plain(remote.Get("192.0.2.1", 8080, "/cgi-bin/ip")), "192.0.2.2");
  EXPECT_EQ(Plain(remote.Get("2001:db8:2::1", 8080, "/cgi-bin/ip")), "2001:db8:2::2");
  EXPECT_FALSE(Get("192.0.2.1", 8080).starts_with("error")) << Get("192.0.2.1", 8080);
  EXPECT_FALSE(Get("127.0.0.1", 8080).starts_with("error")) << Get("127.0.0.1", 8080);
  EXPECT_NE(GetFrom(pod, "192.0.2.1", 8080), "");  // by the node back to itself
  EXPECT_TRUE(Ok(cri_->StopPod(pod.id)));
  EXPECT_TRUE(Get("192.0.2.1", 8080).starts_with("error"));
  (void)Output(directory_.path(), {"/usr/sbin/ip", "link", "del", "outside"});
}

TEST_P(NetworkTest, StopGivesEverythingBack) {
  {
    const Pod warm_up = Start("warm-up");
    EXPECT_TRUE(Ok(cri_->RemovePod(warm_up.id)));
  }
  const std::set<std::string> idle = Interfaces();
  const Pod a = Start("a");
  EXPECT_EQ(Pins().size(), 1U);
  // The plugin removes its bridge with the last pod.
  EXPECT_EQ(Interfaces().size(), idle.size() + (GetParam() == Kind::kPlugin ? 2 : 1));
  EXPECT_TRUE(Ok(cri_->StopPod(a.id)));
  EXPECT_EQ(cri_->PodStatus(a.id).network().ip(), "");
  EXPECT_TRUE(NoPins());
  EXPECT_EQ(Interfaces(), idle);
  EXPECT_TRUE(Ok(cri_->StopPod(a.id)));
  EXPECT_TRUE(Ok(cri_->RemovePod(a.id)));
}

TEST_P(NetworkTest, APodLivesOnWhileTheDaemonIsAwayAndACrashedOneLeavesNothing) {
  const Pod warm_up = Start("warm-up");
  EXPECT_TRUE(Ok(cri_->RemovePod(warm_up.id)));
  const std::set<std::string> idle = Interfaces();
  const Pod a = Start("a");
  daemon_->Kill9();
  EXPECT_FALSE(Get(a.ip, 80).starts_with("error"));
  ASSERT_TRUE(daemon_->Start());
  EXPECT_EQ(cri_->PodStatus(a.id).network().ip(), a.ip);
  const Pod b = Start("b");
  EXPECT_NE(b.ip, a.ip);
  EXPECT_EQ(GetFrom(b, a.ip, 80), b.ip);
  EXPECT_TRUE(Ok(cri_->RemovePod(a.id)));
  EXPECT_TRUE(Ok(cri_->RemovePod(b.id)));
  EXPECT_EQ(Interfaces(), idle);
}

// 20 crashes at any time during starts and stops of pods; FERMATA_FULL=1: 200.
TEST_P(NetworkTest, CrashesAtAnyTimeLoseNoAddress) {
  (void)Start("warm-up");
  EXPECT_TRUE(Ok(cri_->RemovePod(ids_.back())));
  const std::set<std::string> idle = Interfaces();
  const int cycles = std::getenv("FERMATA_FULL") != nullptr ? 200 : 20;
  std::minstd_rand random(7);  // NOLINT: the same cycles each time
  for (int i = 0; i < cycles; ++i) {
    std::thread killer([this, delay = std::chrono::milliseconds(random() % 60)] {
      std::this_thread::sleep_for(delay);  // the moment is what is tested
      daemon_->Kill9();
    });
    std::string id;
    v1::PodSandboxConfig config = cri_->PodConfig("p" + std::to_string(i));
    config.add_port_mappings()->set_container_port(80);
    config.mutable_port_mappings(0)->set_host_port(8080);
    if (cri_->TryRunPod(config, &id).ok()) (void)cri_->StopPod(id);
    killer.join();
    ASSERT_TRUE(daemon_->Start());
    for (const v1::PodSandbox& pod : cri_->Pods()) {
      ids_.push_back(pod.id());
      EXPECT_TRUE(Ok(cri_->RemovePod(pod.id())));
    }
  }
  const auto nothing = [this] {
    fv1::ListNetworkResponse network;
    return Call(*daemon_->network, &fv1::Network::Stub::List, {}, &network).ok() && network.attachments().empty();
  };
  EXPECT_TRUE(WaitUntil(nothing));
  // A bridge without pods may go too.
  const auto no_more = [&] {
    const std::set<std::string> now = Interfaces();
    return std::includes(idle.begin(), idle.end(), now.begin(), now.end());
  };
  EXPECT_TRUE(WaitUntil(no_more)) << ::testing::PrintToString(Interfaces());
  if (GetParam() == Kind::kCni) {
    size_t addresses = 0;
    for (const auto& entry : std::filesystem::directory_iterator(*daemon_ / "ipam/testnet")) {
      addresses += entry.path().filename().string().find('.') != std::string::npos &&
                           !entry.path().filename().string().starts_with("last")
                       ? 1
                       : 0;
    }
    EXPECT_EQ(addresses, 0U);
  }
}

TEST_P(NetworkTest, TheCommandShowsWhoHasWhatAndPortsHaveOneHolder) {
  v1::PodSandboxConfig config = cri_->PodConfig("a");
  config.add_port_mappings()->set_container_port(80);
  config.mutable_port_mappings(0)->set_host_port(8080);
  const Pod a = Start(config);
  config = cri_->PodConfig("b");
  config.add_port_mappings()->set_container_port(81);
  config.mutable_port_mappings(0)->set_host_port(8080);
  EXPECT_TRUE(
      Is(cri_->TryRunPod(config), grpc::StatusCode::FAILED_PRECONDITION, "host port 8080/tcp is held by pod test/a"));
  const auto fermata = [this](std::vector<std::string> words) {
    words.insert(words.begin(), {BuiltProgram("fermata"), "--socket", daemon_->socket(), "network"});
    return Output(directory_.path(), words);
  };
  const std::string list = fermata({"ls"});
  EXPECT_THAT(list, HasSubstr("test/a"));
  EXPECT_THAT(list, HasSubstr(a.ip + " " + a.ip6));
  EXPECT_THAT(list, HasSubstr("8080/tcp"));
  EXPECT_THAT(fermata({"inspect"}), HasSubstr("attachments"));
  // Debian's portmap looks for the rules of IPv4 in those of IPv6.
  if (GetParam() != Kind::kCni) {
    EXPECT_THAT(fermata({"check", "a"}), HasSubstr("as it was made"));
  }
  EXPECT_EQ(fermata({"gc"}), "");
}

TEST_P(NetworkTest, PodsOfTheCommandLineHaveAddressesToo) {
  WriteText(directory_ / "pod.yaml", std::string("apiVersion: v1\nkind: Pod\nmetadata: {name: local}\nspec:\n"
                                                 "  containers: [{name: c, image: \"") +
                                         kBusyboxImage + "\", command: [sleep, \"1000\"]}]\n");
  const auto fermata = [this](std::vector<std::string> words) {
    words.insert(words.begin(), {BuiltProgram("fermata"), "--socket", daemon_->socket()});
    return Output(directory_.path(), words);
  };
  (void)fermata({"run", "-d", directory_ / "pod.yaml"});
  const std::string list = fermata({"network", "ls"});
  EXPECT_THAT(list, HasSubstr("default/local"));
  EXPECT_THAT(list, HasSubstr(GetParam() == Kind::kBuiltin ? "builtin" : "cni"));
  EXPECT_THAT(list, HasSubstr("attached"));
  (void)fermata({"stop", "-t", "0", "local"});
  (void)fermata({"rm", "local"});
  EXPECT_THAT(fermata({"network", "ls"}), ::testing::Not(HasSubstr("default/local")));
}

INSTANTIATE_TEST_SUITE_P(Networks, NetworkTest, ::testing::Values(Kind::kCni, Kind::kBuiltin, Kind::kPlugin),
                         [](const auto& info) {
                           return info.param == Kind::kCni       ? "Cni"
                                  : info.param == Kind::kBuiltin ? "Builtin"
                                                                 : "Plugin";
                         });

}  // namespace
}  // namespace fermata::testing
