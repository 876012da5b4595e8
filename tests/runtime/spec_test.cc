// config.json and seccomp profiles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/launch/seccomp.h"
#include "runtime/spec/spec_json.h"
#include "tests/fixtures/temporary.h"

namespace fermata::runtime {
namespace {

using ::testing::HasSubstr;

constexpr const char* kSmall = R"({"ociVersion":"1.2.0","root":{"path":"rootfs","readonly":true},
  "process":{"args":["sh"],"cwd":"/","user":{"uid":1,"gid":2,"additionalGids":[3]},
             "rlimits":[{"type":"RLIMIT_NOFILE","soft":1,"hard":2}],"oomScoreAdj":-5,
             "apparmorProfile":"a","selinuxLabel":"b:c","ioPriority":{"class":"IOPRIO_CLASS_BE","priority":3},
             "scheduler":{"policy":"SCHED_BATCH","nice":5,"flags":["SCHED_FLAG_RESET_ON_FORK"]},
             "execCPUAffinity":{"initial":"0","final":"0-1"}},
  "mounts":[{"destination":"/proc","type":"proc","source":"proc","options":["nosuid"]}],
  "linux":{"timeOffsets":{"boottime":{"secs":-7,"nanosecs":5}},"personality":{"domain":"LINUX32"},"namespaces":[{"type":"pid"},{"type":"network","path":"/x"}],"maskedPaths":["/a"],
           "devices":[{"path":"/dev/fuse","type":"c","major":10,"minor":229}],
           "seccomp":{"defaultAction":"SCMP_ACT_ERRNO","flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW",
                      "args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]}}})";

TEST(SpecTest, WhatIsReadIsWrittenAndReadAgain) {
  const auto spec = SpecFromJson(kSmall);
  ASSERT_OK(spec);
  EXPECT_EQ(spec->process.user.additional_gids, std::vector<uint32_t>{3});
  EXPECT_EQ(spec->process.oom_score_adj, -5);
  EXPECT_EQ(spec->linux.namespaces[1].path, "/x");
  ASSERT_TRUE(spec->linux.seccomp.has_value());
  EXPECT_EQ(spec->process.scheduler->nice, 5);
  EXPECT_EQ(spec->process.exec_cpu_affinity->final_cpus, "0-1");
  EXPECT_EQ(spec->linux.time_offsets.at("boottime"), (TimeOffset{-7, 5}));
  EXPECT_EQ(spec->linux.personality->domain, "LINUX32");
  const auto again = SpecFromJson(SpecToJson(*spec));
  ASSERT_OK(again);
  EXPECT_EQ(*again, *spec);
}

TEST(SpecTest, UnknownPropertiesAreIgnored) {
  std::string json = kSmall;
  json.insert(json.find(R"("oomScoreAdj")"), R"("consoleColour":{},)");
  json.insert(1, R"("unknown":{"deep":[1]},)");
  EXPECT_OK(SpecFromJson(json));
}

TEST(SpecTest, WhatIsNotHonouredIsRefusedByItsPath) {
  const auto refused = [](const std::string& from, const std::string& to, const std::string& text) {
    std::string json = kSmall;
    json.replace(json.find(from), from.size(), to);
    const auto spec = SpecFromJson(json);
    ASSERT_FALSE(spec) << json;
    EXPECT_EQ(spec.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(spec.error().message(), HasSubstr(text));
  };
  refused(R"("cwd":"/")", R"("cwd":"x")", "process.cwd: must be absolute");
  refused(R"("args":["sh"],)", "", "process.args: must not be empty");
  refused(R"("ociVersion":"1.2.0")", R"("ociVersion":"2.0.0")", "ociVersion");
  refused(R"("maskedPaths":["/a"])", R"("intelRdt":{"closID":"x"})", "linux.intelRdt: is not supported");
  refused(R"("uid":1)", R"("uid":"1")", "config.json");
  EXPECT_FALSE(SpecFromJson("{"));
  EXPECT_FALSE(SpecFromJson(std::string(100'000, '[')));
}

void ExpectRefused(const std::string& process, const std::string& more = "") {
  const std::string text =
      R"({"ociVersion":"1.2.0","root":{"path":"r"},"process":{"args":["sh"],)" + process + "}" + more + "}";
  const auto spec = SpecFromJson(text);
  ASSERT_FALSE(spec) << text;
  EXPECT_EQ(spec.error().code(), ErrorCode::kInvalidArgument) << text;
}

TEST(SpecTest, AUidThatDoesNotFitIsRefusedAndNotCutToRoot) {
  for (const char* uid : {"4294967296", "-1", "0.5", "1e300", "true", "\"1000\"", "18446744073709551616"}) {
    ExpectRefused(std::string(R"("user":{"uid":)") + uid + "}");
    ExpectRefused(std::string(R"("user":{"additionalGids":[)") + uid + "]}");
  }
  ExpectRefused(R"("rlimits":[{"type":"RLIMIT_CORE","soft":-1,"hard":1}])");
  ExpectRefused(R"("oomScoreAdj":4294967297)");
}

TEST(SpecTest, AUserThatIsNoObjectIsRefusedAndNotRoot) {
  ExpectRefused(R"("user":"1000")");
  ExpectRefused(R"("user":[1000])");
  ExpectRefused(R"("capabilities":["CAP_CHOWN"])");
  ExpectRefused(R"("cwd":"/")", R"(,"mounts":{"a":{"destination":"/a"}})");
  ExpectRefused(R"("cwd":"/")", R"(,"linux":[])");
}

TEST(SeccompTest, TheDefaultProfileCompilesForEveryContainer) {
  for (const std::vector<std::string>& capabilities :
       {std::vector<std::string>{}, {"CAP_SYS_ADMIN"}, {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYSLOG", "CAP_BPF"}}) {
    const auto filter = CompileSeccomp(DefaultSeccompProfile(capabilities));
    ASSERT_OK(filter);
    EXPECT_GT((*filter)->instructions.size(), 100U);
  }
}

TEST(SeccompTest, UnknownWordsAreRefusedAndUnknownCallsLeftOut) {
  Seccomp profile{.default_action = "SCMP_ACT_ALLOW", .default_errno_ret = {}, .architectures = {}, .rules = {}};
  profile.rules = {{{"no_such_call", "read"}, "SCMP_ACT_ERRNO", 1, {}}};
  EXPECT_OK(CompileSeccomp(profile));
  profile.rules[0].action = "SCMP_ACT_EXPLODE";
  EXPECT_THAT(CompileSeccomp(profile).error().message(), HasSubstr("unknown action SCMP_ACT_EXPLODE"));
  profile.rules[0].action = "SCMP_ACT_ERRNO";
  profile.rules[0].args = {{0, 1, 0, "SCMP_CMP_ALMOST"}};
  EXPECT_THAT(CompileSeccomp(profile).error().message(), HasSubstr("unknown operator"));
  profile.rules[0].args = {};
  profile.architectures = {"SCMP_ARCH_ABACUS"};
  EXPECT_THAT(CompileSeccomp(profile).error().message(), HasSubstr("unknown architecture"));
}

TEST(SeccompTest, EachProfileIsCompiledOnce) {
  SeccompCache cache;
  const auto first = cache.Get(DefaultSeccompProfile({}));
  const auto second = cache.Get(DefaultSeccompProfile({}));
  ASSERT_OK(first);
  EXPECT_EQ(*first, *second);
  EXPECT_NE(*first, *cache.Get(DefaultSeccompProfile({"CAP_SYS_ADMIN"})));
}

TEST(SeccompTest, ProfilesWhoseWordsJoinToTheSameTextHaveFiltersOfTheirOwn) {
  Seccomp one_name{.default_action = "SCMP_ACT_ALLOW"};
  one_name.rules.push_back({{"read write"}, "SCMP_ACT_ERRNO", {}, {}});  // no call of this machine: left out
  Seccomp two_names = one_name;
  two_names.rules[0].names = {"read", "write"};
  SeccompCache cache;
  const auto first = cache.Get(one_name);
  const auto second = cache.Get(two_names);
  ASSERT_OK(first);
  ASSERT_OK(second);
  EXPECT_NE(*first, *second);
  EXPECT_GT((*second)->instructions.size(), (*first)->instructions.size());
}

TEST(SeccompTest, AnArchitectureOfAnotherByteOrderIsTheFaultOfTheProfile) {
  const auto program = CompileSeccomp({.default_action = "SCMP_ACT_ALLOW", .architectures = {"SCMP_ARCH_S390X"}});
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace fermata::runtime
