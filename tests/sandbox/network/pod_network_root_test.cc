// PodNetwork with plugins of the test: debts, restarts, the state of the network. The pod is a process in a network
// namespace of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "sandbox/network/netns.h"
#include "sandbox/network/pod_network.h"
#include "tests/fixtures/root_environment.h"
#include "tests/fixtures/time_scale.h"
#include "tests/sandbox/network/fake_plugins.h"

namespace fermata::sandbox {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr const char* kConf = R"({"cniVersion":"1.1.0","name":"net","plugins":[{"type":"plugin"}]})";

// Until something is so that another thread or process brings about.
bool Eventually(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + testing::Scaled(20s);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

class PodNetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::IsRoot()) GTEST_SKIP() << "needs root";
    std::filesystem::create_directories(fakes_ / "conf");
    fakes_.MakeGood("plugin");
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    pod_pid_ = ::fork();
    if (pod_pid_ == 0) {
      const char ready = ::unshare(CLONE_NEWNET) == 0 ? 1 : 0;
      (void)!::write(ends[1], &ready, 1);
      for (;;) ::pause();
    }
    char ready = 0;
    EXPECT_EQ(::read(ends[0], &ready, 1), 1);
    EXPECT_EQ(ready, 1);
    (void)::close(ends[0]);
    (void)::close(ends[1]);
    pod_.id = SandboxId(std::string(64, 'a'));
    pod_.spec.name = "web";
    pod_.spec.name_space = "default";
    pod_.spec.uid = "uid";
  }
  void TearDown() override {
    if (pod_pid_ > 0) {
      (void)::kill(pod_pid_, SIGKILL);
      (void)::waitpid(pod_pid_, nullptr, 0);
    }
    network_.reset();
    for (const std::string& name : ListPins(fakes_ / "netns", "")) {
      ADD_FAILURE() << "left: " << name;
      (void)UnpinNetns(fakes_ / ("netns/" + name));
    }
  }
  void Configure(const std::string& text) const { std::ofstream(fakes_ / "conf/10.conflist") << text; }
  void Open() {
    PodNetworkOptions options;
    options.cni_conf_dir = fakes_ / "conf";
    options.cni_bin_dirs = {fakes_.bin()};
    options.cni_conf_template = fakes_ / "template";
    options.data_dir = fakes_ / "data";
    options.netns_dir = fakes_ / "netns";
    const auto timeout = testing::Scaled(500ms);
    options.timeouts = {.add = timeout, .del = timeout, .status = timeout};
    options.backoff = {.first = 20ms, .most = 100ms};
    options.stop_wait = testing::Scaled(2s);
    network_ = std::make_unique<PodNetwork>(options, nullptr);
    ASSERT_OK(network_->Start({}));
  }
  [[nodiscard]] size_t CountCalls(const std::string& beginning) const {
    size_t count = 0;
    std::istringstream calls(fakes_.Calls());
    for (std::string line; std::getline(calls, line);) count += line.starts_with(beginning) ? 1 : 0;
    return count;
  }

  testing::FakePlugins fakes_;
  SandboxRecord pod_;
  pid_t pod_pid_ = -1;
  std::unique_ptr<PodNetwork> network_;
};

TEST_F(PodNetworkTest, AddAndDelLeaveNothing) {
  Configure(kConf);
  Open();
  const auto ips = network_->Attach(pod_, pod_pid_);
  ASSERT_OK(ips);
  EXPECT_THAT(*ips, ::testing::ElementsAre("10.9.0.2"));
  ASSERT_EQ(network_->Attachments().size(), 1U);
  EXPECT_TRUE(IsPinned(network_->Attachments()[0].netns));
  EXPECT_OK(network_->Check(pod_.id.str()));
  EXPECT_OK(network_->Detach(pod_));
  EXPECT_TRUE(network_->Attachments().empty());
  EXPECT_OK(network_->Detach(pod_));
  EXPECT_EQ(CountCalls("DEL"), 1U);
}

TEST_F(PodNetworkTest, N06ThePinGoesAlsoWhenSomebodyElseRemovedIt) {
  Configure(kConf);
  Open();
  ASSERT_OK(network_->Attach(pod_, pod_pid_));
  EXPECT_OK(UnpinNetns(network_->Attachments()[0].netns));
  EXPECT_OK(network_->Detach(pod_));
  EXPECT_TRUE(network_->Attachments().empty());
  EXPECT_THAT(fakes_.Calls(), HasSubstr("DEL plugin " + pod_.id.str() + " \n"));  // without a path
}

TEST_F(PodNetworkTest, N03ANewNamespaceListensToNoRouter) {
  Configure(kConf);
  Open();
  ASSERT_OK(network_->Attach(pod_, pod_pid_));
  const auto netns = OpenNetns(pod_pid_);
  ASSERT_OK(netns);
  std::string value;
  EXPECT_OK(RunInNetns(netns->get(), [&]() -> Result<> {
    ASSIGN_OR_RETURN(value, ReadFileAt(AT_FDCWD, "/proc/sys/net/ipv6/conf/default/accept_ra"));
    return {};
  }));
  EXPECT_EQ(value, "0\n");
  EXPECT_OK(network_->Detach(pod_));
}

TEST_F(PodNetworkTest, N05AFailedAddIsFollowedByDelUntilThatSucceeds) {
  Configure(kConf);
  fakes_.Make("plugin", "exit 1");
  Open();
  EXPECT_FALSE(network_->Attach(pod_, pod_pid_));
  EXPECT_OK(network_->Detach(pod_));  // as the step table does
  ASSERT_EQ(network_->Attachments().size(), 1U);
  EXPECT_TRUE(network_->Attachments()[0].owed);
  EXPECT_TRUE(Eventually([&] { return CountCalls("DEL") >= 3; }));
  fakes_.MakeGood("plugin");
  EXPECT_TRUE(Eventually([&] { return network_->Attachments().empty(); }));
}

TEST_F(PodNetworkTest, F09AHangingDelHoldsUpNeitherTheStopNorTheState) {
  Configure(kConf);
  Open();
  ASSERT_OK(network_->Attach(pod_, pod_pid_));
  fakes_.Make("plugin", "sleep 4711");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_OK(network_->Detach(pod_));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, testing::Scaled(3s));
  (void)network_->Status();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, testing::Scaled(3s));
  fakes_.MakeGood("plugin");
  EXPECT_TRUE(Eventually([&] { return network_->Attachments().empty(); }));
}

TEST_F(PodNetworkTest, ADebtOutlivesTheDaemonAndTheNamespace) {
  Configure(kConf);
  Open();
  ASSERT_OK(network_->Attach(pod_, pod_pid_));
  network_.reset();  // ends without a Detach, as a crash does
  Open();
  network_->Recover({pod_.id.str()});
  EXPECT_EQ(network_->Attachments().size(), 1U);
  EXPECT_EQ(CountCalls("DEL"), 0U);
  EXPECT_TRUE(Eventually([&] { return CountCalls("GC") == 1; }));
  network_.reset();
  Open();
  network_->Recover({});
  EXPECT_TRUE(Eventually([&] { return network_->Attachments().empty(); }));
  EXPECT_EQ(CountCalls("DEL"), 1U);
}

TEST_F(PodNetworkTest, TheEndOfTheDaemonBreaksOffWhatHangs) {
  Configure(kConf);
  fakes_.Make("plugin", "[ $CNI_COMMAND = STATUS ] || sleep 4711");
  Open();
  std::thread attach([&] { EXPECT_FALSE(network_->Attach(pod_, pod_pid_)); });
  EXPECT_TRUE(Eventually([&] { return CountCalls("ADD") == 1; }));
  network_->End();
  attach.join();
  EXPECT_OK(network_->Detach(pod_));
  EXPECT_EQ(network_->Attachments().size(), 1U);
  fakes_.MakeGood("plugin");
  network_.reset();
  Open();
  network_->Recover({});
  EXPECT_TRUE(Eventually([&] { return network_->Attachments().empty(); }));
}

TEST_F(PodNetworkTest, TheStateFollowsTheDirectoryAndThePlugins) {
  Open();
  EXPECT_FALSE(network_->Status().ready);
  EXPECT_EQ(network_->Status().reason, "NetworkPluginNotReady");
  Configure(kConf);
  EXPECT_TRUE(Eventually([&] { return network_->Status().ready; }));
  Configure("{");
  EXPECT_TRUE(Eventually([&] { return !network_->Status().ready; }));
  EXPECT_THAT(network_->Status().message, HasSubstr("10.conflist"));
  const auto attached = network_->Attach(pod_, pod_pid_);
  EXPECT_FALSE(attached);
  EXPECT_OK(network_->Detach(pod_));
  fakes_.Make("plugin", R"([ $CNI_COMMAND != STATUS ] || { echo '{"code":50,"msg":"starting"}'; exit 1; })");
  Configure(kConf);
  EXPECT_TRUE(Eventually([&] { return network_->Status().message.find("starting") != std::string::npos; }));
  std::filesystem::remove_all(fakes_ / "conf");
  EXPECT_TRUE(Eventually([&] { return network_->Status().message.find("no CNI") != std::string::npos; }));
  fakes_.MakeGood("plugin");
  std::filesystem::create_directories(fakes_ / "conf");
  Configure(kConf);
  EXPECT_TRUE(Eventually([&] { return network_->Status().ready; }));
}

TEST_F(PodNetworkTest, WithoutConfigurationThereIsOnlyLo) {
  Open();
  const auto ips = network_->Attach(pod_, pod_pid_);
  ASSERT_OK(ips);
  EXPECT_TRUE(ips->empty());
  EXPECT_TRUE(network_->Attachments().empty());
  EXPECT_OK(network_->Detach(pod_));
}

TEST_F(PodNetworkTest, ThePodCidrFillsTheTemplateAndIsRemembered) {
  std::ofstream(fakes_ / "template") << R"({"cniVersion":"1.1.0","name":"t","plugins":[
    {"type":"plugin","capabilities":{"ipRanges":true},"ipam":{"subnet":"{{.PodCIDR}}","ranges":{{.PodCIDRRanges}}}}]})";
  Open();
  EXPECT_OK(network_->SetPodCidr(""));
  EXPECT_FALSE(network_->SetPodCidr("nonsense"));
  EXPECT_OK(network_->SetPodCidr("10.7.0.0/24,fd07::/64"));
  EXPECT_TRUE(Eventually([&] { return network_->Status().ready; }));
  network_.reset();
  Open();
  ASSERT_OK(network_->Attach(pod_, pod_pid_));
  const Json config = *ParseJson(fakes_.Read("config.ADD.plugin"), "c");
  EXPECT_EQ(config["ipam"]["subnet"], "10.7.0.0/24");
  EXPECT_EQ(config["ipam"]["ranges"].dump(), R"([[{"subnet":"10.7.0.0/24"}],[{"subnet":"fd07::/64"}]])");
  EXPECT_EQ(config["runtimeConfig"]["ipRanges"].dump(), R"([[{"subnet":"10.7.0.0/24"}],[{"subnet":"fd07::/64"}]])");
  EXPECT_OK(network_->Detach(pod_));
}

}  // namespace
}  // namespace fermata::sandbox
