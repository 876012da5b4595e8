// Rows of the threat table about what requests and images say: what becomes of it, or that it is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>

#include "runtime/spec/spec_json.h"
#include "sandbox/launch_spec.h"
#include "sandbox/pod_files.h"
#include "sandbox/seccomp_choice.h"
#include "sandbox/spec_checks.h"
#include "tests/fixtures/temporary.h"

namespace fermata::sandbox {
namespace {

using ::testing::ElementsAreArray;
using testing::TemporaryDirectory;

class HostileRequest : public ::testing::Test {
 protected:
  void SetUp() override {
    sandbox_.id = SandboxId(std::string(64, 'a'));
    sandbox_.spec.name = sandbox_.spec.hostname = "pod";
    image_.cmd = {"sh"};
    image_.env = {"A=b"};
  }
  Result<runtime::Spec> Build() { return BuildLaunchSpec({sandbox_, container_, image_, user_, "/run/pod", {}}); }

  SandboxRecord sandbox_;
  ContainerSpec container_;
  overlay::ImageConfig image_;
  overlay::ResolvedUser user_;
};

std::string RandomText(std::mt19937& random) {
  static const char* const kWords[] = {"io.kubernetes.",
                                       "cri-o",
                                       "org.systemd.property.",
                                       "seccomp",
                                       "/",
                                       "..",
                                       "=",
                                       "devices",
                                       "userns",
                                       "run.oci.",
                                       "\n",
                                       "|",
                                       "nri",
                                       "cdi.k8s.io/"};
  std::string text;
  for (unsigned i = 1 + random() % 4; i > 0; --i) text += kWords[random() % std::size(kWords)];
  return text + static_cast<char>('a' + random() % 26);
}

TEST_F(HostileRequest, C03RandomAnnotationsChangeNothing) {
  const auto before = Build();
  ASSERT_OK(before);
  std::mt19937 random(7);
  for (int i = 0; i < 10'000; ++i) {
    const std::string key = RandomText(random);
    const std::string value = RandomText(random);
    container_.annotations = {{key, value}};
    container_.image_annotations = {{value, key}};
    sandbox_.spec.annotations = {{key, value}};
    auto spec = Build();
    ASSERT_OK(spec);
    spec->annotations = before->annotations;
    ASSERT_EQ(*spec, *before) << key << "=" << value;
  }
}

TEST_F(HostileRequest, I07TwoHundredLabelsOfAnImageThatLookReservedChangeNothing) {
  const auto before = Build();
  ASSERT_OK(before);
  std::mt19937 random(8);
  for (int i = 0; i < 200; ++i) {
    image_.labels["io.kubernetes.cri." + std::to_string(i)] = RandomText(random);
    image_.labels[RandomText(random)] = "|/bin/sh";
  }
  const auto spec = Build();
  ASSERT_OK(spec);
  EXPECT_EQ(*spec, *before);
}

TEST_F(HostileRequest, R08TwentyGroupListsFollowThePolicyAndHoldThePrimaryOne) {
  struct Row {
    uint32_t gid;
    std::vector<uint32_t> image;
    std::vector<int64_t> asked;
    std::vector<uint32_t> merged, strict;
  };
  const Row rows[] = {
      {0, {}, {}, {0}, {0}},
      {0, {}, {0}, {0}, {0}},
      {1000, {}, {}, {1000}, {1000}},
      {1000, {1000}, {}, {1000}, {1000}},
      {1000, {2000}, {}, {1000, 2000}, {1000}},
      {1000, {}, {3000}, {1000, 3000}, {1000, 3000}},
      {1000, {2000}, {3000}, {1000, 2000, 3000}, {1000, 3000}},
      {1000, {2000}, {2000}, {1000, 2000}, {1000, 2000}},
      {1000, {2000, 2001}, {}, {1000, 2000, 2001}, {1000}},
      {1000, {0}, {}, {0, 1000}, {1000}},
      {1000, {}, {0}, {0, 1000}, {0, 1000}},
      {1000, {5, 4, 3}, {2, 1}, {1, 2, 3, 4, 5, 1000}, {1, 2, 1000}},
      {7, {}, {7, 7, 7}, {7}, {7}},
      {7, {8}, {8, 8}, {7, 8}, {7, 8}},
      {4294967294, {}, {}, {4294967294}, {4294967294}},
      {1, {}, {4294967294}, {1, 4294967294}, {1, 4294967294}},
      {0, {1, 2, 3}, {}, {0, 1, 2, 3}, {0}},
      {100, {100, 0}, {100}, {0, 100}, {100}},
      {2147483648, {2147483647}, {}, {2147483647, 2147483648}, {2147483648}},
      {10, {20, 30}, {30, 40}, {10, 20, 30, 40}, {10, 30, 40}},
  };
  for (const Row& row : rows) {
    user_.uid = 1000;
    user_.gid = row.gid;
    user_.additional_gids = row.image;
    container_.security.supplemental_groups = row.asked;
    for (const bool strict : {false, true}) {
      container_.security.strict_groups = strict;
      EXPECT_THAT(Build()->process.user.additional_gids, ElementsAreArray(strict ? row.strict : row.merged));
    }
  }
}

TEST_F(HostileRequest, R12AVariableWithoutAValueIsNeverLookedUpOnTheHost) {
  ASSERT_EQ(::setenv("FERMATA_MARKER", "of the host", 1), 0);
  image_.env = {"FERMATA_MARKER", "OTHER", "", "=x"};
  const auto spec = Build();
  ASSERT_OK(spec);
  for (const std::string& entry : spec->process.env) {
    EXPECT_FALSE(entry.starts_with("FERMATA_MARKER")) << entry;
    EXPECT_NE(entry.find('='), std::string::npos) << entry;
  }
  ASSERT_EQ(::unsetenv("FERMATA_MARKER"), 0);
}

TEST_F(HostileRequest, S09CoreDumpsAreOff) {
  const auto spec = Build();
  ASSERT_OK(spec);
  EXPECT_EQ(spec->process.rlimits, (std::vector<runtime::Rlimit>{{"RLIMIT_CORE", 0, 0}}));
}

TEST(HostileProfile, C09EightBadProfilesAreErrorsAndNeverUnconfined) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  ASSERT_OK(WriteFileAtomic(AT_FDCWD, directory / "empty", ""));
  ASSERT_OK(WriteFileAtomic(AT_FDCWD, directory / "huge", std::string((1 << 20) + 1, ' ')));
  ASSERT_OK(WriteFileAtomic(AT_FDCWD, directory / "list", "[]"));
  ASSERT_EQ(::symlink("loop", (directory / "loop").c_str()), 0);
  SecurityContext security;
  security.seccomp = SeccompMode::kLocalhost;
  for (const std::string& path : {directory / "fifo", directory / "empty", directory / "huge", directory / "list",
                                  directory / "loop", directory / "missing", directory.path(), std::string("/dev/zero"),
                                  std::string("profile.json"), std::string()}) {
    security.seccomp_profile = path;
    const auto chosen = ChooseSeccomp(security, {});
    ASSERT_FALSE(chosen) << path;
    EXPECT_NE(chosen.error().message(), "") << path;
  }
}

TEST(HostileNames, C12FortyHostileNamesAndResolverSettingsAreRefused) {
  for (const std::string& name :
       {std::string("a\nb"), std::string("a b"), std::string("-a"), std::string("a-"), std::string(".a"),
        std::string("A"), std::string("a_b"), std::string("a/b"), std::string("\xc3\xa9"), std::string("a\0b", 3),
        std::string(64, 'a'), std::string("a\t"), std::string("a;b"), std::string("a\x1b[0m"),
        std::string("127.0.0.1 evil")}) {
    EXPECT_FALSE(CheckHostname(name)) << name;
  }
  for (const std::string& server :
       {std::string(), std::string("host"), std::string("1.2.3"), std::string("1.2.3.4\noptions debug"),
        std::string("1.2.3.4 5.6.7.8"), std::string("::1\n"), std::string("fe80::1%"), std::string("fe80::1%a b"),
        std::string("1.2.3.4%eth0"), std::string("0x7f000001"), std::string("1.2.3.4/8"), std::string("[::1]")}) {
    EXPECT_FALSE(CheckDns({{server}, {}, {}})) << server;
  }
  for (const std::string& search :
       {std::string(), std::string("a b"), std::string("a\nnameserver 6.6.6.6"), std::string("a;b"),
        std::string("a\0", 2), std::string("\xff"), std::string("#a")}) {
    EXPECT_FALSE(CheckDns({{}, {search}, {}})) << search;
  }
  for (const std::string& option :
       {std::string(), std::string("ndots:5\nnameserver 6.6.6.6"), std::string("a b"), std::string(256, 'a'),
        std::string("ndots:5 debug"), std::string("\x7f"), std::string("a#")}) {
    EXPECT_FALSE(CheckDns({{}, {}, {option}})) << option;
  }
  EXPECT_FALSE(CheckDns({std::vector<std::string>(33, "1.1.1.1"), {}, {}}));
  EXPECT_FALSE(CheckDns({{}, std::vector<std::string>(33, "a"), {}}));
  EXPECT_FALSE(CheckDns({{}, {std::string(1100, 'a'), std::string(1100, 'b')}, {}}));
}

TEST(HostileNames, C12AcceptedSettingsGiveExactlyTheirFile) {
  const DnsConfig dns{{"10.0.0.10", "fe80::1%eth0"}, {"a.b", "c"}, {"ndots:5", "edns0"}};
  EXPECT_OK(CheckDns(dns));
  EXPECT_EQ(ResolvText(dns), "search a.b c\nnameserver 10.0.0.10\nnameserver fe80::1%eth0\noptions ndots:5 edns0\n");
}

}  // namespace
}  // namespace fermata::sandbox
