// CNI's texts: configurations, results, arguments. Pure, besides directories of the test's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "sandbox/network/cni_arguments.h"
#include "sandbox/network/cni_config.h"
#include "sandbox/network/cni_result.h"
#include "tests/fixtures/temporary.h"

namespace fermata::sandbox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kList = R"({"cniVersion": "1.0.0", "name": "net", "plugins": [
  {"type": "bridge", "bridge": "b0", "cni.dev/secret": 1, "runtimeConfig": {"mac": "x"},
   "capabilities": {"mac": true, "ips": false}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]})";

std::string Why(const std::string& text) {
  const auto network = ParseCniNetwork(text, "f");
  return network ? "" : network.error().message();
}

TEST(CniConfig, AListHasItsPluginsWithTheirCapabilities) {
  const auto network = ParseCniNetwork(kList, "f");
  ASSERT_OK(network);
  EXPECT_EQ(network->name, "net");
  EXPECT_EQ(network->version, "1.0.0");
  ASSERT_EQ(network->plugins.size(), 2U);
  EXPECT_THAT(network->plugins[0].capabilities, ElementsAre("mac"));
  EXPECT_EQ(network->plugins[0].config.dump(), R"({"bridge":"b0","type":"bridge"})");
  EXPECT_THAT(network->plugins[1].capabilities, ElementsAre("portMappings"));
}

TEST(CniConfig, ItsTextReadsToTheSameNetwork) {
  const auto network = ParseCniNetwork(kList, "f");
  ASSERT_OK(network);
  const auto again = ParseCniNetwork(network->text, "f");
  ASSERT_OK(again);
  EXPECT_EQ(again->text, network->text);
}

TEST(CniConfig, ASingleConfIsAListOfOne) {
  const auto network = ParseCniNetwork(R"({"cniVersion":"0.3.1","name":"n","type":"ptp"})", "f");
  ASSERT_OK(network);
  ASSERT_EQ(network->plugins.size(), 1U);
  EXPECT_EQ(network->plugins[0].type, "ptp");
  EXPECT_FALSE(network->Knows("CHECK"));
  EXPECT_TRUE(network->Knows("ADD"));
}

TEST(CniConfig, TheHighestVersionThatWeSpeakIsTaken) {
  const auto network = ParseCniNetwork(
      R"({"cniVersion":"9.0.0","cniVersions":["0.4.0","1.1.0","2.0.0"],"name":"n","plugins":[{"type":"a"}]})", "f");
  ASSERT_OK(network);
  EXPECT_EQ(network->version, "1.1.0");
  EXPECT_TRUE(network->Knows("STATUS"));
  EXPECT_TRUE(network->Knows("GC"));
  const auto disabled = ParseCniNetwork(
      R"({"cniVersion":"1.1.0","disableGC":true,"disableCheck":"true","name":"n","plugins":[{"type":"a"}]})", "f");
  ASSERT_OK(disabled);
  EXPECT_FALSE(disabled->Knows("GC"));
  EXPECT_FALSE(disabled->Knows("CHECK"));
}

TEST(CniConfig, WhatIsNoneSaysWhy) {
  EXPECT_THAT(Why("{"), HasSubstr("f: "));
  EXPECT_THAT(Why("[]"), HasSubstr("no object"));
  EXPECT_THAT(Why(R"({"cniVersion":"1.0.0","plugins":[{"type":"a"}]})"), HasSubstr("name"));
  EXPECT_THAT(Why(R"({"cniVersion":"1.0.0","name":"../x","plugins":[{"type":"a"}]})"), HasSubstr("name"));
  EXPECT_THAT(Why(R"({"cniVersion":"2.0.0","name":"n","plugins":[{"type":"a"}]})"), HasSubstr("\"2.0.0\""));
  EXPECT_THAT(Why(R"({"name":"n","plugins":[{"type":"a"}]})"), HasSubstr("cniVersion"));
  EXPECT_THAT(Why(R"({"cniVersion":"1.0.0","name":"n","plugins":[]})"), HasSubstr("no plugins"));
  EXPECT_THAT(Why(R"({"cniVersion":"1.0.0","name":"n","plugins":{}})"), HasSubstr("no list"));
  EXPECT_THAT(Why(R"({"cniVersion":"1.0.0","name":"n","plugins":[1]})"), HasSubstr("no object"));
  EXPECT_THAT(Why(R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":7}]})"), HasSubstr("type"));
  std::string nested(100, '[');
  EXPECT_NE(Why(nested), "");
}

TEST(CniConfig, N01TwentyTypesThatAreNoPlainNamesAreRefused) {
  const std::vector<std::string> bad = {
      "",    ".",   "..",   "../x", "/bin/sh", "a/b", "a\\b", "-x",  ".x", "_x",
      "a b", "a;b", "a\nb", "a$b",  "a*",      "ä",   "a:b",  "a|b", "~a", std::string(65, 'a')};
  for (const std::string& type : bad) {
    EXPECT_FALSE(IsCniPluginType(type)) << type;
    const Json list = {{"cniVersion", "1.0.0"}, {"name", "n"}, {"plugins", {{{"type", type}}}}};
    EXPECT_FALSE(ParseCniNetwork(list.dump(), "f")) << type;
  }
  for (const char* type : {"bridge", "host-local", "a.b_c", "9p"}) EXPECT_TRUE(IsCniPluginType(type)) << type;
}

class CniDirectory : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(directory_ / name).parent_path());
    std::ofstream(directory_ / name) << text;
  }
  static std::string Conf(const std::string& name) {
    return R"({"cniVersion":"1.0.0","name":")" + name + R"(","type":"a"})";
  }
  testing::TemporaryDirectory directory_;
};

TEST_F(CniDirectory, TheLexicallyFirstFileCounts) {
  EXPECT_EQ(LoadCniNetwork(directory_ / "none").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(LoadCniNetwork(directory_.path()).error().code(), ErrorCode::kNotFound);
  Write("00-readme.txt", "");
  Write("20.conf", Conf("second"));
  Write("10.json", Conf("first"));
  const auto network = LoadCniNetwork(directory_.path());
  ASSERT_OK(network);
  EXPECT_EQ(network->name, "first");
  Write("05.conflist", "{\"cniVersion\":");
  const auto half = LoadCniNetwork(directory_.path());
  ASSERT_FALSE(half);
  EXPECT_EQ(half.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(half.error().message(), HasSubstr("05.conflist"));
}

TEST_F(CniDirectory, ConfsOfTheNetworksDirectoryBelongToAListUnlessItSaysNo) {
  Write("10.conflist", R"({"cniVersion":"1.1.0","name":"net","plugins":[{"type":"a"}]})");
  Write("net/20.conf", R"({"type":"c"})");
  Write("net/10.conf", R"({"type":"b"})");
  Write("net/ignored.json", R"({"type":"d"})");
  const auto network = LoadCniNetwork(directory_.path());
  ASSERT_OK(network);
  ASSERT_EQ(network->plugins.size(), 3U);
  EXPECT_EQ(network->plugins[1].type, "b");
  EXPECT_EQ(network->plugins[2].type, "c");
  Write("10.conflist", R"({"cniVersion":"1.1.0","name":"net","loadOnlyInlinedPlugins":true,"plugins":[{"type":"a"}]})");
  EXPECT_EQ(LoadCniNetwork(directory_.path())->plugins.size(), 1U);
}

TEST(CniResult, AddressesOfThePodInOrderAndNotThoseOfTheBridge) {
  const auto result =
      ParseCniResult(R"({"cniVersion":"1.0.0","interfaces":[{"name":"br"},{"name":"eth0","sandbox":"/n"}],
    "ips":[{"address":"10.0.0.1/24","interface":0},{"address":"10.0.0.2/24","interface":1},{"address":"fd00::2/64"}]})",
                     "1.0.0");
  ASSERT_OK(result);
  EXPECT_THAT(result->ips, ElementsAre("10.0.0.2", "fd00::2"));
}

TEST(CniResult, GarbageIsRefused) {
  const std::vector<std::string> bad = {
      "",
      "hello",
      "[]",
      "{}",
      R"({"cniVersion":"0.4.0"})",
      R"({"cniVersion":1})",
      R"({"cniVersion":"1.0.0","ips":{}})",
      R"({"cniVersion":"1.0.0","ips":[1]})",
      R"({"cniVersion":"1.0.0","ips":[{}]})",
      R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2"}]})",
      R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/33"}]})",
      R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0/8"}]})",
      R"({"cniVersion":"1.0.0","ips":[{"address":"x\ny/8"}]})",
  };
  for (const std::string& text : bad) {
    const auto result = ParseCniResult(text, "1.0.0");
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code(), ErrorCode::kInternal) << text;
  }
  const auto none = ParseCniResult(R"({"cniVersion":"1.0.0"})", "1.0.0");
  ASSERT_OK(none);
  EXPECT_THAT(none->ips, IsEmpty());
}

TEST(CniResult, AnErrorObjectSaysWhatItSays) {
  EXPECT_EQ(CniFailure(R"({"cniVersion":"1.0.0","code":11,"msg":"try later","details":"d\u0007"})", "x", 1).message(),
            "try later; d?");
  EXPECT_EQ(CniFailure("garbage", "line\n", 139).message(), "ended by signal 11: line");
  EXPECT_EQ(CniFailure("", "", 3).message(), "ended with 3");
}

SandboxRecord Pod() {
  SandboxRecord record;
  record.id = SandboxId("abc");
  record.spec.name = "web";
  record.spec.name_space = "default";
  record.spec.uid = "u-1";
  return record;
}

TEST(CniArguments, N02NamesThatWouldAddAnArgumentAreRefused) {
  EXPECT_EQ(
      *CniArgs(Pod()),
      "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u-1");
  for (const char* bad : {"a;K8S_POD_NAME=b", "a=b", "a b", "a\nb", "a/b"}) {
    SandboxRecord pod = Pod();
    pod.spec.name = bad;
    EXPECT_FALSE(CniArgs(pod)) << bad;
    pod = Pod();
    pod.spec.name_space = bad;
    EXPECT_FALSE(CniArgs(pod)) << bad;
    pod = Pod();
    pod.spec.uid = bad;
    EXPECT_FALSE(CniArgs(pod)) << bad;
  }
}

TEST(CniArguments, CapabilitiesHaveTheValuesOfThePod) {
  SandboxRecord pod = Pod();
  pod.spec.port_mappings = {{0, 80, 8080, "127.0.0.1"}, {1, 53, 53, ""}, {0, 81, 0, ""}};
  pod.spec.annotations = {{"kubernetes.io/ingress-bandwidth", "10M"},
                          {kIpsAnnotation, "10.0.0.9/24, fd00::9"},
                          {kMacAnnotation, "02:00:00:00:00:09"}};
  pod.spec.dns.servers = {"10.0.0.10"};
  const auto config = CniRuntimeConfig(pod, "net", {"10.1.0.0/16", "fd00::/64"});
  ASSERT_OK(config);
  EXPECT_EQ((*config)["portMappings"].dump(),
            R"([{"containerPort":80,"hostIP":"127.0.0.1","hostPort":8080,"protocol":"tcp"},)"
            R"({"containerPort":53,"hostPort":53,"protocol":"udp"}])");
  EXPECT_EQ((*config)["bandwidth"].dump(), R"({"ingressBurst":2147483647,"ingressRate":10000000})");
  EXPECT_EQ((*config)["ips"].dump(), R"(["10.0.0.9/24","fd00::9"])");
  EXPECT_EQ((*config)["mac"], "02:00:00:00:00:09");
  EXPECT_EQ((*config)["aliases"].dump(), R"({"net":["web"]})");
  EXPECT_EQ((*config)["ipRanges"].dump(), R"([[{"subnet":"10.1.0.0/16"}],[{"subnet":"fd00::/64"}]])");
  pod.spec.annotations = {{"kubernetes.io/egress-bandwidth", "10"}};
  EXPECT_FALSE(CniRuntimeConfig(pod, "net", {}));
  pod.spec.annotations = {{kIpsAnnotation, "10.0.0.9;x"}};
  EXPECT_FALSE(CniRuntimeConfig(pod, "net", {}));
}

TEST(CniArguments, PodCidrs) {
  EXPECT_THAT(*ParsePodCidrs("10.1.0.0/16,fd00::/64"), ElementsAre("10.1.0.0/16", "fd00::/64"));
  EXPECT_THAT(*ParsePodCidrs(""), IsEmpty());
  for (const char* bad : {"10.1.0.0", "10.1.0.0/33", "x/8", "10.0.0.0/8x", "\"/8"})
    EXPECT_FALSE(ParsePodCidrs(bad)) << bad;
}

}  // namespace
}  // namespace fermata::sandbox
