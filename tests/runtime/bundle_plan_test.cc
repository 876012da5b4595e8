// What an OCI bundle becomes: the steps and their order, and what contradicts itself. No root needed.
#include "runtime/launch/bundle_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>

#include "runtime/launch/sysctl.h"
#include "tests/fixtures/temporary.h"

namespace fermata::runtime {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

BundleLaunch SmallBundle() {
  BundleLaunch launch;
  launch.spec.root_path = "/bundle/rootfs";
  launch.spec.process.args = {"sh"};
  launch.spec.process.env = {"PATH=/bin"};
  launch.spec.linux.namespaces = {{"pid", ""}, {"mount", ""}};
  launch.spec.mounts = {{"/proc", "proc", "proc", {}}};
  return launch;
}

BundleLaunch MappedBundle() {
  BundleLaunch launch = SmallBundle();
  launch.spec.linux.namespaces.push_back({"user", ""});
  launch.spec.linux.uid_mappings = launch.spec.linux.gid_mappings = {{0, 100'000, 65536}};
  return launch;
}

std::vector<std::string> LinesOf(const BundleLaunch& launch) {
  const auto plan = PlanBundle(launch);
  EXPECT_OK(plan);
  return plan ? plan->Lines() : std::vector<std::string>();
}

// Where `line` stands; -1 if nowhere.
ptrdiff_t At(const std::vector<std::string>& lines, const std::string& line) {
  const auto found = std::ranges::find(lines, line);
  return found == lines.end() ? -1 : found - lines.begin();
}

void ExpectOrder(const std::vector<std::string>& lines, const std::vector<std::string>& wanted) {
  ptrdiff_t last = -1;
  for (const std::string& line : wanted) {
    const ptrdiff_t at = At(lines, line);
    EXPECT_GT(at, last) << line << " in " << ::testing::PrintToString(lines);
    last = at;
  }
}

void ExpectRefused(const BundleLaunch& launch, const std::string& text) {
  const auto plan = PlanBundle(launch);
  ASSERT_FALSE(plan) << text;
  EXPECT_EQ(plan.error().code(), ErrorCode::kInvalidArgument) << plan.error().message();
  EXPECT_THAT(plan.error().message(), HasSubstr(text));
}

TEST(BundlePlanTest, TheOrderIsTheOneThatWorks) {
  BundleLaunch launch = SmallBundle();
  launch.spec.hostname = "h";
  launch.spec.linux.namespaces.push_back({"uts", ""});
  launch.spec.linux.masked_paths = {"/proc/kcore"};
  launch.spec.linux.readonly_paths = {"/proc/sys"};
  launch.spec.root_readonly = true;
  launch.spec.process.no_new_privileges = true;
  launch.seccomp = std::make_shared<const SeccompProgram>(
      SeccompProgram{std::vector<sock_filter>(3, sock_filter{BPF_RET, 0, 0, 0}), 0});
  ExpectOrder(LinesOf(launch), {"start session",
                                "set oom_score_adj",
                                "open root file system /bundle/rootfs",
                                "make namespaces",
                                "make mounts private",
                                "set hostname h",
                                "attach root file system",
                                "mount proc on /proc",
                                "make /proc/sys read-only",
                                "mask /proc/kcore",
                                "change root",
                                "enter working directory /",
                                "make the root file system read-only",
                                "set bounding set",
                                "set supplementary groups",
                                "set uid 0 and gid 0",
                                "set capabilities",
                                "set no_new_privs",
                                "find program",
                                "wait for the start",
                                "load seccomp filter"});
  const auto plan = PlanBundle(launch);
  EXPECT_EQ(plan->view().header().clone_flags, uint64_t{CLONE_NEWPID});
  EXPECT_EQ(plan->view().header().given_count, 2) << "start and started";
  EXPECT_TRUE(ValidatePlan(plan->bytes()));
}

TEST(BundlePlanTest, NamespacesAreMadeJoinedOrTheLaunchers) {
  BundleLaunch launch = SmallBundle();
  launch.spec.linux.namespaces = {{"mount", ""}};
  auto plan = PlanBundle(launch);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->view().header().clone_flags, 0U);

  launch.spec.linux.namespaces = {{"mount", ""}, {"network", "/n"}, {"ipc", "/i"}, {"pid", "/p"}};
  plan = PlanBundle(launch);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->view().header().join_pid_namespace, 1U) << "born there";
  EXPECT_EQ(plan->view().header().given_count, 4) << "two namespaces, without that of processes, and two pipes";
  EXPECT_EQ(std::ranges::count(plan->Lines(), "join namespace"), 2);
  EXPECT_THAT(plan->Lines(), Not(Contains("bring up lo")));

  launch.two_stages = true;
  plan = PlanBundle(launch);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->view().header().join_pid_namespace, 0U);
  ExpectOrder(plan->Lines(), {"join PID namespace", "set capabilities", "find program", "enter the PID namespace",
                              "wait for the start"});
}

TEST(BundlePlanTest, NamespacesThatContradictThemselvesAreRefused) {
  BundleLaunch launch = SmallBundle();
  launch.spec.linux.namespaces.push_back({"pid", "/p"});
  ExpectRefused(launch, "namespaces: pid is there twice");
  launch = SmallBundle();
  launch.spec.linux.namespaces.push_back({"space", ""});
  ExpectRefused(launch, "unknown type space");
  launch.spec.linux.namespaces = {{"pid", ""}};
  ExpectRefused(launch, "needs a new mount namespace");
  launch.spec.linux.namespaces = {{"mount", "/m"}};
  ExpectRefused(launch, "needs a new mount namespace");
  launch = SmallBundle();
  launch.spec.hostname = "h";
  ExpectRefused(launch, "need a UTS namespace");
  launch = SmallBundle();
  launch.spec.linux.time_offsets["boottime"] = {1, 0};
  ExpectRefused(launch, "need a new time namespace");
}

TEST(BundlePlanTest, AUserNamespaceIsEnteredAfterTheHostsFilesAndMakesItsOwnPidNamespace) {
  const auto plan = PlanBundle(MappedBundle());
  ASSERT_OK(plan);
  ExpectOrder(plan->Lines(),
              {"open device /dev/null", "open root file system /bundle/rootfs", "give standard streams to the user",
               "join user namespace", "become root of the user namespace", "make PID namespace", "make namespaces",
               "attach root file system", "attach device /dev/null", "change root"});
  EXPECT_EQ(plan->view().header().clone_flags, 0U);
  ASSERT_EQ(plan->view().user_namespaces().size(), 1U);
  EXPECT_STREQ(plan->view().Text(plan->view().user_namespaces()[0].uid_map), "0 100000 65536\n");
  EXPECT_THAT(plan->Lines(), Not(Contains("make device /dev/null"))) << "nobody makes devices there";
}

TEST(BundlePlanTest, MappingsAndUserNamespacesBelongTogether) {
  BundleLaunch launch = MappedBundle();
  launch.spec.linux.uid_mappings.clear();
  launch.spec.linux.gid_mappings.clear();
  ExpectRefused(launch, "a new user namespace needs uidMappings and gidMappings");
  launch = MappedBundle();
  launch.spec.linux.namespaces.pop_back();
  ExpectRefused(launch, "need a new user namespace");
  launch = MappedBundle();
  launch.spec.linux.uid_mappings = {{1, 100'000, 10}};
  ExpectRefused(launch, "uidMappings: id 0 is not mapped");
  launch.spec.linux.uid_mappings = {{0, 100'000, 10}, {5, 300'000, 10}};
  ExpectRefused(launch, "mappings overlap");
  launch.spec.linux.uid_mappings = {{0, 100'000, 0}};
  ExpectRefused(launch, "the size 0");
  launch.spec.linux.uid_mappings = {{0, UINT32_MAX, 2}};
  ExpectRefused(launch, "over the last id");
  launch = MappedBundle();
  launch.spec.process.user.uid = 70'000;
  ExpectRefused(launch, "user 70000:0 is not mapped");
}

TEST(BundlePlanTest, WhatAUserNamespaceMayNotMountIsTheHosts) {
  BundleLaunch launch = MappedBundle();
  launch.spec.mounts.push_back({"/sys", "sysfs", "sysfs", {}});
  launch.spec.mounts.push_back({"/dev/mqueue", "mqueue", "mqueue", {}});
  launch.spec.mounts.push_back({"/sys/fs/cgroup", "cgroup", "cgroup", {}});
  EXPECT_THAT(LinesOf(launch),
              ::testing::AllOf(Contains("open /sys for /sys"), Contains("open /dev/mqueue for /dev/mqueue"),
                               Contains("open /sys/fs/cgroup for /sys/fs/cgroup")));
  for (const char* type : {"network", "ipc", "cgroup"}) launch.spec.linux.namespaces.push_back({type, ""});
  const auto own = LinesOf(launch);
  EXPECT_THAT(own, Contains("mount sysfs on /sys"));
  EXPECT_THAT(own, Not(Contains(HasSubstr("open /sys"))));
  EXPECT_THAT(own, Not(Contains(HasSubstr("open /dev/mqueue"))));
}

TEST(BundlePlanTest, IdmappedBindsHaveTheirOwnMappingsOrTheContainers) {
  BundleLaunch launch = SmallBundle();
  launch.spec.mounts.push_back({"/d", "bind", "/src", {"bind", "idmap"}, {}, {}});
  ExpectRefused(launch, "needs a container with a user namespace");
  launch.spec.mounts.back().uid_mappings = {{0, 1000, 1}};
  ExpectRefused(launch, "needs both uidMappings and gidMappings");
  launch.spec.mounts.back().gid_mappings = {{0, 1000, 1}};
  auto plan = PlanBundle(launch);
  ASSERT_OK(plan);
  ExpectOrder(plan->Lines(),
              {"open /src for /d", "map ids of /src for /d", "set propagation of /d", "mount /src on /d"});
  EXPECT_EQ(plan->view().user_namespaces().size(), 1U);
  launch = MappedBundle();
  launch.spec.mounts.push_back({"/d", "bind", "/src", {"bind", "ridmap"}, {}, {}});
  plan = PlanBundle(launch);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->view().user_namespaces().size(), 1U) << "the container's own serves";
}

TEST(BundlePlanTest, HooksRunAtTheirPoints) {
  BundleLaunch launch = SmallBundle();
  launch.spec.hooks.create_runtime = {{"/r", {}, {}, {}}};
  auto plan = PlanBundle(launch);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->view().header().given_count, 3) << "the gate too";
  ExpectOrder(plan->Lines(), {"mount proc on /proc", "wait for hooks", "change root"});
  launch.spec.hooks.create_container = {{"/c", {"c", "x"}, {"A=b"}, 7}};
  launch.spec.hooks.start_container = {{"/s", {}, {}, {}}};
  plan = PlanBundle(launch);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->view().header().given_count, 4) << "and the state";
  ExpectOrder(plan->Lines(), {"wait for hooks", "createContainer hook /c", "change root", "find program",
                              "wait for the start", "startContainer hook /s"});
  launch.spec.hooks = {};
  launch.spec.hooks.poststart = launch.spec.hooks.poststop = {{"/p", {}, {}, {}}};
  plan = PlanBundle(launch);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->view().header().given_count, 2) << "they are not the process's";
}

TEST(BundlePlanTest, ATerminalIsOfTheContainersDevptsAndControlsTheLastStage) {
  BundleLaunch launch = SmallBundle();
  launch.spec.process.terminal = true;
  ExpectRefused(launch, "a terminal needs a mount of type devpts");
  launch.spec.mounts.push_back({"/dev/pts", "devpts", "devpts", {}});
  ExpectOrder(LinesOf(launch),
              {"open terminal", "attach terminal on /dev/console", "change root",
               "make the terminal the standard streams", "make the terminal the controlling one", "set bounding set"});
  EXPECT_THAT(LinesOf(launch), Not(Contains("give standard streams to the user")));
  launch.spec.linux.namespaces[0].path = "/p";
  launch.two_stages = true;
  ExpectOrder(LinesOf(launch), {"make the terminal the standard streams", "enter the PID namespace",
                                "make the terminal the controlling one", "wait for the start"});
}

TEST(BundlePlanTest, TmpcopyupCopiesBeforeTheTmpfsIsAttached) {
  BundleLaunch launch = SmallBundle();
  launch.spec.mounts.push_back({"/run", "tmpfs", "tmpfs", {"tmpcopyup"}});
  const auto lines = LinesOf(launch);
  const ptrdiff_t copy = At(lines, "mount tmpfs on /run: copy what the image has there");
  ASSERT_GE(copy, 0);
  EXPECT_EQ(lines[static_cast<size_t>(copy) + 1], "mount tmpfs on /run");
}

TEST(BundlePlanTest, DevicesOutsideOfDevAreMadeInTheRootAfterIt) {
  BundleLaunch launch = SmallBundle();
  launch.spec.linux.devices = {{"/dev/a/b", 'c', 1, 3}, {"/srv/x", 'c', 1, 3}};
  ExpectOrder(LinesOf(launch), {"make /dev/a", "make device /dev/a/b", "make device /srv/x"});
}

TEST(BundlePlanTest, PreservedDescriptorsComeLastAndAreNotMarked) {
  BundleLaunch launch = SmallBundle();
  launch.preserved = 3;
  const auto plan = PlanBundle(launch);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->view().header().given_count, 5);
  ExpectOrder(plan->Lines(), {"keep descriptors", "mark descriptors"});
}

TEST(BundlePlanTest, AListenersFilterIsLoadedBeforeTheStart) {
  BundleLaunch launch = SmallBundle();
  SeccompProgram program{std::vector<sock_filter>(3, sock_filter{BPF_RET, 0, 0, 0}), 0};
  program.notifies = true;
  launch.seccomp = std::make_shared<const SeccompProgram>(program);
  ExpectOrder(LinesOf(launch), {"find program", "load seccomp filter", "wait for the start"});
}

TEST(SysctlTest, OnlyThoseOfOwnNamespacesPass) {
  const SysctlOwner all{true, true, true};
  for (const char* name : {"net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding", "kernel.shmmax", "kernel.msgmnb",
                           "kernel.sem", "fs.mqueue.msg_max", "kernel.domainname"}) {
    EXPECT_OK(CheckSysctl(name, "1", all));
  }
  const auto refused = [&](std::string_view name, std::string_view value, const SysctlOwner& owner, const char* why) {
    const auto checked = CheckSysctl(name, value, owner);
    ASSERT_FALSE(checked) << name;
    EXPECT_THAT(checked.error().message(), HasSubstr(why));
  };
  refused("net.ipv4.ip_forward", "1", {false, true, true}, "host's network namespace");
  refused("kernel.shmmax", "1", {true, false, true}, "host's ipc namespace");
  refused("kernel.domainname", "x", {true, true, false}, "not a sysctl of the pod's own");
  for (const char* name :
       {"vm.swappiness", "kernel.core_pattern", "fs.file-max", "kernel.hostname", "kernel.yama.ptrace_scope"}) {
    refused(name, "1", all, "not a sysctl of the pod's own");
  }
  for (const char* name : {"", ".", "net", "net..x", "net/../kernel/core_pattern", "Net.x", "-net.x", "net.ipv4.\n"}) {
    EXPECT_FALSE(CheckSysctl(name, "1", all)) << name;
  }
  refused("net.x", "a\nb", all, "printable");
  refused("net.x", std::string(5000, '1'), all, "4096");
}

}  // namespace
}  // namespace fermata::runtime
