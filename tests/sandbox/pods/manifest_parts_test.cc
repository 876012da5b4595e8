// Quantities, expansion and the checks that the CRI's converter uses too.
#include <gtest/gtest.h>

#include "sandbox/pods/manifest_expand.h"
#include "sandbox/pods/manifest_quantity.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox {
namespace {

TEST(Quantity, IsExactAndRoundsUp) {
  struct Row {
    const char* text;
    int scale;
    int64_t value;  // -1: refused
  };
  const Row rows[] = {
      {"0", 0, 0},
      {"1", 3, 1000},
      {"0.1", 3, 100},
      {".5", 3, 500},
      {"5.", 0, 5},
      {"100m", 3, 100},
      {"1u", 3, 1},
      {"1n", 0, 1},
      {"1500m", 0, 2},
      {"1k", 0, 1000},
      {"1Ki", 0, 1024},
      {"1.5Ki", 0, 1536},
      {"0.1Ki", 0, 103},
      {"1E", 0, 1000000000000000000},
      {"7Ei", 0, 8070450532247928832},
      {"8Ei", 0, -1},
      {"1e3", 0, 1000},
      {"1E3", 0, 1000},
      {"1e-3", 0, 1},
      {"1e-400", 0, 1},
      {"0e400", 0, 0},
      {"1e400", 0, -1},
      {"9223372036854775807", 0, INT64_MAX},
      {"9223372036854775808", 0, -1},
      {"+1", 0, 1},
      {"-1", 0, -1},
      {"", 0, -1},
      {".", 0, -1},
      {"1.2.3", 0, -1},
      {"m", 0, -1},
      {"1 Gi", 0, -1},
      {"1gi", 0, -1},
      {"1KiB", 0, -1},
      {"1e", 0, -1},
      {"1e1.5", 0, -1},
      {"0x10", 0, -1},
      {"1e+-3", 0, -1},
      {"0.000000001", 0, 1},
      {"1__0", 0, -1},
      {"١", 0, -1},
  };
  for (const Row& row : rows) {
    const auto value = pods::ParseQuantity(row.text, row.scale);
    EXPECT_EQ(value ? *value : -1, row.value) << row.text;
  }
}

TEST(Expand, FollowsKubelet) {
  const std::map<std::string, std::string> variables = {{"A", "1"}, {"B", "$(A)"}, {"E", ""}};
  const std::pair<const char*, const char*> rows[] = {
      {"", ""},        {"x", "x"},           {"$(A)", "1"},         {"$(A)$(A)", "11"},    {"$(B)", "$(A)"},
      {"$(E)", ""},    {"$(X)", "$(X)"},     {"$$(A)", "$(A)"},     {"$$$(A)", "$1"},      {"$$$$", "$$"},
      {"$A", "$A"},    {"$", "$"},           {"a$", "a$"},          {"$(A", "$(A"},        {"$()", "$()"},
      {"$(A))", "1)"}, {"$($(A)", "$($(A)"}, {"$(A)$($(", "1$($("}, {"\n$(A)\t", "\n1\t"},
  };
  for (const auto& [text, want] : rows) EXPECT_EQ(*pods::Expand(text, variables, 100), want) << text;
  EXPECT_FALSE(pods::Expand("$(A)$(A)", variables, 1));
  std::string open;
  for (int i = 0; i < 500000; ++i) open += "$(";
  EXPECT_EQ(*pods::Expand(open, variables, open.size()), open) << "in linear time";
}

TEST(Checks, SysctlNames) {
  const NamespaceOptions own;
  for (const char* good :
       {"net.ipv4.tcp_syncookies", "net/ipv4/ip_forward", "net.ipv4.conf.eth0-1.forwarding", "kernel.shmmax",
        "kernel.shm_rmid_forced", "kernel.msgmax", "kernel.sem", "fs.mqueue.msg_max"}) {
    EXPECT_TRUE(CheckSysctl(good, "1", own)) << good;
  }
  for (const char* bad : {"",
                          "net",
                          "net.",
                          "net..x",
                          "net.ipv4/../../kernel/panic",
                          "kernel.shmmax+kernel.core_pattern",
                          "kernel.core_pattern",
                          "kernel.sem.x",
                          "kernel.shm.x",
                          "fs.mqueue",
                          "fs.file-max",
                          "vm.swappiness",
                          "Net.x",
                          "net.x y",
                          "net.x\n",
                          "net.x=1",
                          "/net/x",
                          "../net.x",
                          "kernel.hostname",
                          "-net.x",
                          "netx.y",
                          "kernel",
                          "kernel.semx"}) {
    EXPECT_FALSE(CheckSysctl(bad, "1", own)) << bad;
  }
  EXPECT_TRUE(CheckSysctl("net.x", "4096 87380 6291456", own));
  EXPECT_TRUE(CheckSysctl("net.x", "", own));
  for (const std::string& bad :
       {std::string("1\n2"), std::string(4097, '1'), std::string("\x7f"), std::string(1, '\0')}) {
    EXPECT_FALSE(CheckSysctl("net.x", bad, own));
  }
}

TEST(Checks, HostNames) {
  for (const std::string& good : {std::string("a"), std::string("a.b-c1"), std::string(63, 'x'), std::string("0")}) {
    EXPECT_TRUE(CheckHostname(good)) << good;
  }
  for (const std::string& bad :
       {std::string(), std::string(64, 'x'), std::string("A"), std::string("a_b"), std::string("-a"), std::string("a-"),
        std::string("a\nb"), std::string("a b"), std::string(".")}) {
    EXPECT_FALSE(CheckHostname(bad)) << bad;
  }
}

TEST(Checks, Dns) {
  const auto check = [](std::vector<std::string> servers, std::vector<std::string> searches,
                        std::vector<std::string> options) {
    return bool(CheckDns({std::move(servers), std::move(searches), std::move(options)}));
  };
  EXPECT_TRUE(check({"1.1.1.1", "fe80::1%eth0", "::1"}, {"a.b", ".", "_tcp.x"}, {"ndots:5", "use-vc"}));
  for (const char* bad : {"", "dns.google", "1.1.1.1\n", "1.1.1", "1.1.1.1%eth0", "fe80::1%", "fe80::1%a b", "::1 "}) {
    EXPECT_FALSE(check({bad}, {}, {})) << bad;
  }
  for (const char* bad : {"", "a b", "a\noptions x", "a;b", "#a"}) {
    EXPECT_FALSE(check({}, {bad}, {})) << bad;
    EXPECT_FALSE(check({}, {}, {bad})) << bad;
  }
  EXPECT_TRUE(check({}, std::vector<std::string>(32, std::string(63, 'a')), {}));
  EXPECT_FALSE(check({}, std::vector<std::string>(32, std::string(64, 'a')), {}));
  EXPECT_FALSE(check({}, std::vector<std::string>(33, "a"), {}));
}

TEST(Checks, PathsAndCapabilities) {
  EXPECT_TRUE(CheckAbsolutePath("/a..b/..c"));
  for (const std::string& bad : {std::string(), std::string("a"), std::string("/.."), std::string("/a/../b"),
                                 std::string("/a/.."), std::string("/a\0b", 4), "/" + std::string(4096, 'a')}) {
    EXPECT_FALSE(CheckAbsolutePath(bad)) << bad;
  }
  for (const char* bad : {"", "/a", "..", "../a", "a/..", ".", "a/", "a/."})
    EXPECT_FALSE(CheckRelativePath(bad)) << bad;
  EXPECT_TRUE(CheckRelativePath("web/0.log"));
  EXPECT_EQ(*CapabilityName("net_raw"), "CAP_NET_RAW");
  EXPECT_EQ(*CapabilityName("all"), "ALL");
  for (const std::string& bad :
       {std::string(), std::string("CAP_"), std::string("CAP_ALL"), std::string("5"), std::string("NET_RAW\0", 8)}) {
    EXPECT_FALSE(CapabilityName(bad)) << bad;
  }
}

}  // namespace
}  // namespace fermata::sandbox
