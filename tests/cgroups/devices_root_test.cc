// The device program in the kernel: loaded, attached, obeyed, replaced. Nodes are made in a directory of the
// test's own, so that the host's /dev does not matter.
#include "cgroups/devices.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "tests/cgroups/real_group.h"

namespace fermata::cgroups {
namespace {

class DevicesRoot : public RealGroup {
 protected:
  void SetUp() override {
    RealGroup::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    MakeNode("null", S_IFCHR, makedev(1, 3));
    MakeNode("kmsg", S_IFCHR, makedev(1, 11));
    if (::access(Node("null").c_str(), F_OK) != 0) GTEST_SKIP() << "mknod of a device is not permitted here";
    if (RunShell(group_, Open("null")) != 0 || RunShell(group_, Open("kmsg")) != 0) {
      GTEST_SKIP() << "device nodes in " << directory_.path() << " cannot be opened at all";
    }
  }

  [[nodiscard]] std::string Node(const std::string& name) const { return directory_.path() / name; }
  [[nodiscard]] std::string Open(const std::string& name) const { return "exec 3<" + Node(name); }

  void MakeNode(const std::string& name, mode_t type, dev_t device) const {
    (void)::mknod(Node(name).c_str(), type | 0666, device);  // absence is what SetUp looks for
  }

  // How many device programs hang on the group.
  static uint32_t CountPrograms(const Cgroup& group) {
    uint32_t ids[64] = {};
    bpf_attr attributes{};
    attributes.query.target_fd = static_cast<uint32_t>(group.fd());
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.prog_ids = reinterpret_cast<uintptr_t>(ids);
    attributes.query.prog_cnt = 64;
    EXPECT_EQ(::syscall(SYS_bpf, BPF_PROG_QUERY, &attributes, sizeof attributes), 0);
    return attributes.query.prog_cnt;
  }

  FakeGroup directory_;
};

TEST_F(DevicesRoot, TheDefaultsRefuseAForbiddenNodeAndLeaveTheOthers) {
  ASSERT_TRUE(Succeeded(AttachDevices(group_, DefaultDeviceRules())));
  EXPECT_EQ(RunShell(group_, Open("null")), 0);
  EXPECT_NE(RunShell(group_, Open("kmsg")), 0);
  EXPECT_EQ(RunShell(group_, "mknod " + Node("made") + " b 8 0"), 0);  // making is allowed,
  EXPECT_NE(RunShell(group_, "exec 3<" + Node("made")), 0);            // opening is not
  EXPECT_EQ(RunShell(root_, Open("kmsg")), 0);                         // and nobody else is concerned
}

TEST_F(DevicesRoot, NoRulesAllowNothing) {
  ASSERT_TRUE(Succeeded(AttachDevices(group_, {})));
  EXPECT_NE(RunShell(group_, Open("null")), 0);
  EXPECT_NE(RunShell(group_, "mknod " + Node("made") + " c 1 3"), 0);
}

TEST_F(DevicesRoot, GroupsBelowAreHeldToTheRulesToo) {
  ASSERT_TRUE(Succeeded(AttachDevices(group_, DefaultDeviceRules())));
  const auto below = group_.Create("exec-1");
  ASSERT_TRUE(Succeeded(below));
  ASSERT_TRUE(Succeeded(AttachDevices(below->cgroup, AllowAllDeviceRules())));
  EXPECT_NE(RunShell(below->cgroup, Open("kmsg")), 0);
  EXPECT_EQ(RunShell(below->cgroup, Open("null")), 0);
}

TEST_F(DevicesRoot, AnUpdateReplacesTheProgramInsteadOfAddingOne) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Succeeded(AttachDevices(group_, DefaultDeviceRules())));
    EXPECT_NE(RunShell(group_, Open("kmsg")), 0);
    ASSERT_TRUE(Succeeded(AttachDevices(group_, AllowAllDeviceRules())));
    EXPECT_EQ(RunShell(group_, Open("kmsg")), 0);
    EXPECT_EQ(CountPrograms(group_), 1U);
  }
}

TEST_F(DevicesRoot, OneProgramServesManyGroupsAndTheSameGroupTwice) {
  const auto program = DeviceProgram::Load(DefaultDeviceRules());
  ASSERT_TRUE(Succeeded(program));
  for (const char* name : {"a", "b", "a"}) {
    const auto below = group_.Create(name);
    ASSERT_TRUE(Succeeded(below));
    EXPECT_TRUE(Succeeded(program->Attach(below->cgroup)));
    EXPECT_NE(RunShell(below->cgroup, Open("kmsg")), 0);
    EXPECT_EQ(CountPrograms(below->cgroup), 1U);
  }
}

TEST_F(DevicesRoot, TheRulesOutliveTheDescriptorOfTheirProgram) {
  {
    const auto program = DeviceProgram::Load(DefaultDeviceRules());
    ASSERT_TRUE(Succeeded(program));
    ASSERT_TRUE(Succeeded(program->Attach(group_)));
  }
  EXPECT_NE(RunShell(group_, Open("kmsg")), 0);
}

TEST_F(DevicesRoot, TheVerifierTakesTheLongestListAllowed) {
  std::vector<DeviceRule> rules;
  for (int i = 0; i < 1024; ++i) {
    const auto type = static_cast<DeviceType>(i % 3);
    rules.push_back({type, i % 7 - 1, i % 11 - 1, static_cast<uint8_t>(i % 6 + 1), i % 2 == 0});
  }
  EXPECT_TRUE(Succeeded(AttachDevices(group_, rules)));
}

TEST_F(DevicesRoot, ARemovedGroupIsAnErrorThatNamesIt) {
  const auto below = group_.Create("gone");
  ASSERT_TRUE(Succeeded(below));
  ASSERT_TRUE(Succeeded(group_.Remove("gone")));
  const auto attached = AttachDevices(below->cgroup, DefaultDeviceRules());
  ASSERT_FALSE(attached);
  EXPECT_NE(attached.error().message().find("gone"), std::string::npos);
}

}  // namespace
}  // namespace fermata::cgroups
