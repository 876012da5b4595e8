// The built-in network in a network namespace of the test's own: what is there after Add, Del, Collect and a restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <sched.h>

#include <chrono>
#include <thread>

#include "sandbox/network/builtin_network.h"
#include "sandbox/network/netns.h"
#include "tests/fixtures/root_environment.h"
#include "tests/fixtures/temporary.h"

namespace fermata::sandbox {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Each test in a node of its own; its thread goes back to where it was.
class BuiltinTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::IsRoot()) GTEST_SKIP() << "needs root";
    auto own = OpenAt(AT_FDCWD, "/proc/thread-self/ns/net", O_RDONLY);
    ASSERT_OK(own);
    own_ = std::move(*own);
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    Open();
  }
  void TearDown() override {
    network_.reset();
    if (!own_.valid()) return;
    EXPECT_EQ(::setns(own_.get(), CLONE_NEWNET), 0);
  }
  void Open(const std::vector<Attachment>& recorded = {}) {
    BuiltinOptions options{.instance = "0123abcd", .subnets = subnets_};
    auto network = BuiltinNetwork::Make(options);
    ASSERT_OK(network);
    network_ = std::move(*network);
    ASSERT_OK(network_->Start(recorded));
  }
  // A network namespace that lives as long as its descriptor.
  static UniqueFd Namespace() {
    UniqueFd netns;
    std::thread([&] {
      EXPECT_EQ(::unshare(CLONE_NEWNET), 0);
      auto opened = OpenAt(AT_FDCWD, "/proc/thread-self/ns/net", O_RDONLY);
      EXPECT_OK(opened);
      netns = std::move(*opened);
    }).join();
    return netns;
  }
  static Attachment Pod(int number) {
    Attachment pod{.id = std::string(60, 'a') + std::to_string(1000 + number), .pod = "default/p", .kind = "builtin"};
    pod.id = std::to_string(1000 + number) + pod.id.substr(0, 60);
    return pod;
  }
  static std::vector<std::string> Interfaces() {
    std::vector<std::string> names;
    struct if_nameindex* all = ::if_nameindex();
    for (auto* entry = all; entry != nullptr && entry->if_index != 0; ++entry) names.emplace_back(entry->if_name);
    if (all != nullptr) ::if_freenameindex(all);
    return names;
  }
  static std::string Rules() {
    nft_ctx* nft = nft_ctx_new(NFT_CTX_DEFAULT);
    (void)nft_ctx_buffer_output(nft);
    (void)nft_run_cmd_from_buffer(nft, "list ruleset");
    std::string text = nft_ctx_get_output_buffer(nft);
    nft_ctx_free(nft);
    return text;
  }

  UniqueFd own_;
  std::vector<std::string> subnets_;
  std::unique_ptr<BuiltinNetwork> network_;
};

TEST_F(BuiltinTest, AddDelAndCollectLeaveTheNodeAsItWas) {
  EXPECT_THAT(Interfaces(), ::testing::ElementsAre("lo"));
  const UniqueFd netns = Namespace();
  Attachment pod = Pod(1);
  pod.runtime_config["portMappings"] = {
      {{"hostPort", 8080}, {"containerPort", 80}, {"protocol", "sctp"}},
      {{"hostPort", 53}, {"containerPort", 53}, {"protocol", "udp"}, {"hostIP", "127.0.0.1"}}};
  ASSERT_OK(network_->Add(pod, netns.get()));
  EXPECT_EQ(pod.ips.size(), 2U);
  EXPECT_THAT(Interfaces(), ::testing::UnorderedElementsAre("lo", "fm-0123abcd", VethName(pod.id)));
  EXPECT_OK(network_->Check(pod));
  EXPECT_THAT(Rules(), HasSubstr("sctp . 8080 : " + pod.ips[0] + " . 80"));
  EXPECT_THAT(Rules(), HasSubstr("127.0.0.1 . udp . 53 : " + pod.ips[0] + " . 53"));
  EXPECT_OK(network_->Collect({pod}));
  EXPECT_OK(network_->Check(pod));
  EXPECT_OK(network_->Del(pod));
  EXPECT_OK(network_->Del(pod));
  EXPECT_THAT(Rules(), Not(HasSubstr("8080")));
  EXPECT_OK(network_->Collect({}));
  EXPECT_THAT(Interfaces(), ::testing::ElementsAre("lo"));
  EXPECT_EQ(Rules(), "");
}

TEST_F(BuiltinTest, ARestartKnowsWhoHasWhatAndMendsTheRules) {
  const UniqueFd netns = Namespace();
  Attachment pod = Pod(1);
  pod.runtime_config["portMappings"] = {{{"hostPort", 8080}, {"containerPort", 80}, {"protocol", "tcp"}}};
  ASSERT_OK(network_->Add(pod, netns.get()));
  nft_ctx* nft = nft_ctx_new(NFT_CTX_DEFAULT);
  EXPECT_EQ(nft_run_cmd_from_buffer(nft, "flush ruleset"), 0);  // as a reload of the node's firewall does
  nft_ctx_free(nft);
  Open({pod});
  EXPECT_THAT(Rules(), HasSubstr("tcp . 8080 : " + pod.ips[0] + " . 80"));
  const UniqueFd other_netns = Namespace();
  Attachment other = Pod(2);
  ASSERT_OK(network_->Add(other, other_netns.get()));
  EXPECT_NE(other.ips, pod.ips);
  EXPECT_OK(network_->Del(pod));
  EXPECT_OK(network_->Del(other));
}

TEST_F(BuiltinTest, WithoutItsBridgeTheNextPodMakesItAnew) {
  const UniqueFd netns = Namespace();
  Attachment pod = Pod(1);
  ASSERT_OK(network_->Add(pod, netns.get()));
  auto netlink = Netlink::Open();
  ASSERT_OK(netlink);
  EXPECT_OK(netlink->Delete("fm-0123abcd"));
  const UniqueFd other_netns = Namespace();
  Attachment other = Pod(2);
  EXPECT_OK(network_->Add(other, other_netns.get()));
  EXPECT_OK(network_->Del(pod));
  EXPECT_OK(network_->Del(other));
}

TEST_F(BuiltinTest, WhenAllAddressesAreTakenTheErrorSaysByWhom) {
  subnets_ = {"10.9.9.0/30"};
  Open();
  const UniqueFd netns = Namespace();
  Attachment pod = Pod(1);
  ASSERT_OK(network_->Add(pod, netns.get()));
  Attachment late = Pod(2);
  const auto full = network_->Add(late, netns.get());
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().message(), HasSubstr("10.9.9.0/30 are taken: by default/p (10.9.9.2)"));
  EXPECT_OK(network_->Del(late));
  EXPECT_OK(network_->Del(pod));
  EXPECT_OK(network_->Add(late, netns.get()));
  EXPECT_OK(network_->Del(late));
}

TEST_F(BuiltinTest, AddressesHardwareAddressAndRatesAreAsAsked) {
  const UniqueFd netns = Namespace();
  Attachment pod = Pod(1);
  const std::string wanted = IpRange::Parse(InstanceSubnets("0123abcd")[0])->base.Plus(77).Text();
  pod.runtime_config["ips"] = {wanted};
  pod.runtime_config["mac"] = "02:00:00:00:00:77";
  pod.runtime_config["bandwidth"] = {{"ingressRate", 1'000'000}, {"egressRate", 50'000'000'000}};
  ASSERT_OK(network_->Add(pod, netns.get()));
  EXPECT_EQ(pod.ips[0], wanted);
  Attachment other = Pod(2);
  other.runtime_config["ips"] = {wanted};
  EXPECT_FALSE(network_->Add(other, netns.get()));
  EXPECT_OK(network_->Del(other));
  EXPECT_OK(network_->Del(pod));
}

TEST_F(BuiltinTest, TheTimeOfAnAddDoesNotGrowWithThePods) {
  std::vector<UniqueFd> spaces;
  std::vector<Attachment> pods;
  std::vector<double> times;
  for (int i = 0; i < 100; ++i) {
    spaces.push_back(Namespace());
    pods.push_back(Pod(i));
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_OK(network_->Add(pods.back(), spaces.back().get()));
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  std::nth_element(times.begin() + 1, times.begin() + 25, times.begin() + 50);
  std::nth_element(times.begin() + 50, times.begin() + 75, times.end());
  RecordProperty("median_add_first_ms", std::to_string(times[25]));
  RecordProperty("median_add_last_ms", std::to_string(times[75]));
  std::cout << "median of an Add: " << times[25] << " ms, later " << times[75] << " ms\n";
  for (const Attachment& pod : pods) EXPECT_OK(network_->Del(pod));
}

}  // namespace
}  // namespace fermata::sandbox
