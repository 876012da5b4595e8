// The pure parts of the built-in network: ranges, addresses, rules, host ports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/network/address_pool.h"
#include "sandbox/network/builtin_network.h"
#include "sandbox/network/firewall.h"
#include "sandbox/network/host_ports.h"
#include "tests/fixtures/temporary.h"

namespace fermata::sandbox {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

IpRange Range(const std::string& text) { return *IpRange::Parse(text); }
IpAddress Ip(const std::string& text) { return *IpAddress::Parse(text); }

TEST(IpRange, ReadsBothFamilies) {
  EXPECT_EQ(Range("10.1.2.3/16").Text(), "10.1.0.0/16");
  EXPECT_EQ(Range("10.1.2.3/20").gateway().Text(), "10.1.0.1");
  EXPECT_EQ(Range("fd00::ffff/64").gateway().Text(), "fd00::1");
  EXPECT_TRUE(Range("10.1.0.0/20").Contains(Ip("10.1.15.255")));
  EXPECT_FALSE(Range("10.1.0.0/20").Contains(Ip("10.1.16.0")));
  EXPECT_FALSE(Range("10.1.0.0/20").Contains(Ip("fd00::1")));
  EXPECT_EQ(Range("10.0.0.0/30").Capacity(), 1U);
  EXPECT_EQ(Range("10.0.0.0/24").Capacity(), 253U);
  EXPECT_EQ(Ip("10.0.0.255").Plus(2).Text(), "10.0.1.1");
  EXPECT_EQ(Ip("fd00::ffff").Plus(1).Text(), "fd00::1:0");
  for (const char* bad :
       {"", "10.0.0.0", "10.0.0.0/31", "10.0.0.0/7", "fd00::/127", "x/24", "10.0.0.0/24x", "10.0.0.0/"}) {
    EXPECT_FALSE(IpRange::Parse(bad)) << bad;
  }
}

TEST(AddressPool, GivesAllOfThemAndThenNamesWhoHasThem) {
  AddressPool pool(Range("10.0.0.0/29"));
  for (int i = 2; i <= 6; ++i) {
    const auto ip = pool.Take("default/pod-" + std::to_string(i));
    ASSERT_OK(ip);
    EXPECT_EQ(ip->Text(), "10.0.0." + std::to_string(i));
  }
  const auto full = pool.Take("default/late");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_THAT(full.error().message(), HasSubstr("all 5 addresses of 10.0.0.0/29"));
  EXPECT_THAT(full.error().message(), HasSubstr("default/pod-2 (10.0.0.2)"));
  pool.Release(Ip("10.0.0.4"));
  EXPECT_EQ(pool.Take("default/late")->Text(), "10.0.0.4");
}

TEST(AddressPool, AnAddressRestsBeforeItIsGivenAgain) {
  AddressPool pool(Range("10.0.0.0/24"));
  const IpAddress first = *pool.Take("a");
  pool.Release(first);
  EXPECT_NE(pool.Take("b")->Text(), first.Text());
}

TEST(AddressPool, AWantedAddressHasOneHolder) {
  AddressPool pool(Range("10.0.0.0/24"));
  EXPECT_OK(pool.TakeThis(Ip("10.0.0.9"), "a"));
  EXPECT_FALSE(pool.TakeThis(Ip("10.0.0.9"), "a"));  // two pods may have one name
  EXPECT_THAT(pool.TakeThis(Ip("10.0.0.9"), "b").error().message(), HasSubstr("is the address of a"));
  for (const char* bad : {"10.0.0.0", "10.0.0.1", "10.0.1.2", "fd00::2"})
    EXPECT_FALSE(pool.TakeThis(Ip(bad), "b")) << bad;
}

TEST(Firewall, TheTableIsOneText) {
  FirewallState state{
      .bridge = "br", .pods = {Range("10.0.0.0/24"), Range("fd00::/64")}, .direct = {Range("10.0.0.0/8")}};
  state.ports = {{"tcp", 8080, 80, "", Ip("10.0.0.2")}, {"udp", 53, 53, "fd01::1", Ip("fd00::2")}};
  const std::string text = TableText("t", state);
  EXPECT_THAT(text, HasSubstr("set pods4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/24 }; }"));
  EXPECT_THAT(text, HasSubstr("elements = { 10.0.0.0/24, 10.0.0.0/8 }"));
  EXPECT_THAT(text, HasSubstr("add element inet t ports4 { tcp . 8080 : 10.0.0.2 . 80 }\n"));
  EXPECT_THAT(text, HasSubstr("add element inet t ports6_at { fd01::1 . udp . 53 : fd00::2 . 53 }\n"));
  EXPECT_THAT(text, HasSubstr("iifname \"br\""));
  EXPECT_THAT(text, Not(HasSubstr("BRIDGE")));
}

Attachment With(const std::string& id, const Json& ports) {
  Attachment attachment{.id = id, .pod = "default/" + id};
  attachment.runtime_config["portMappings"] = ports;
  return attachment;
}

TEST(HostPorts, N07AConflictNamesWhoHoldsThePort) {
  const auto any = With("a", {{{"hostPort", 80}, {"containerPort", 1}, {"protocol", "tcp"}}});
  const auto other = With("b", {{{"hostPort", 80}, {"containerPort", 2}, {"protocol", "tcp"}, {"hostIP", "10.0.0.1"}}});
  const auto third = With("c", {{{"hostPort", 80}, {"containerPort", 2}, {"protocol", "tcp"}, {"hostIP", "10.0.0.2"}}});
  const auto udp = With("d", {{{"hostPort", 80}, {"containerPort", 2}, {"protocol", "udp"}}});
  EXPECT_EQ(CheckHostPorts(other, any).error().message(), "host port 80/tcp is held by pod default/a");
  EXPECT_FALSE(CheckHostPorts(any, other));
  EXPECT_OK(CheckHostPorts(other, third));
  EXPECT_OK(CheckHostPorts(any, udp));
  EXPECT_OK(CheckHostPorts(any, any));
  EXPECT_OK(CheckHostPorts(any, Attachment{.id = "e"}));
}

TEST(BuiltinNames, DifferByInstanceAndFit) {
  EXPECT_EQ(BridgeName(""), "fermata0");
  EXPECT_EQ(BridgeName("0123abcd"), "fm-0123abcd");
  EXPECT_LE(BridgeName("0123abcd").size(), 15U);
  EXPECT_LE(VethName(std::string(64, 'a')).size(), 15U);
  for (const char* instance : {"", "0123abcd", "ffffffff"}) {
    for (const std::string& subnet : InstanceSubnets(instance)) EXPECT_OK(IpRange::Parse(subnet));
  }
  EXPECT_NE(InstanceSubnets("0123abcd"), InstanceSubnets("4567abcd"));
}

}  // namespace
}  // namespace fermata::sandbox
