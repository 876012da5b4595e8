// Section 6 of the threat table: filters in the kernel. What filters say is tests/runtime/hostile_seccomp_test.cc.
#include <sstream>

#include "runtime/launch/seccomp.h"
#include "tests/security/security_fixture.h"

namespace fermata::testing {
namespace {

class SeccompSecurity : public SecurityTest {
 protected:
  // What the probe was answered, by its names for the calls.
  std::map<std::string, std::string> Probe(const std::vector<std::string>& capabilities, bool filtered) {
    if (!std::filesystem::exists(root_ + "/bin/probe")) {
      std::filesystem::copy_file(FERMATA_PROBES "/syscall_probe", root_ + "/bin/probe");
      StartPause();
    }
    auto launch = Launch({"probe"});
    launch.spec.process.capabilities = {capabilities, capabilities, {}, capabilities, {}};
    if (filtered) launch.seccomp = *runtime::CompileSeccomp(runtime::DefaultSeccompProfile(capabilities));
    std::istringstream output(RunLaunch(launch));
    std::map<std::string, std::string> answers;
    for (std::string name, answer; output >> name >> answer;) answers[name] = answer;
    EXPECT_GE(answers.size(), 18U);
    return answers;
  }
};

TEST_F(SeccompSecurity, S01S03S04S05S06TheDefaultProfileAnswersAsItsTable) {
  const auto answers = Probe({"CAP_CHOWN"}, true);
  for (const char* name : {"alg", "vsock", "keyctl", "bpf", "perf", "uring", "userfaultfd", "handle", "kexec", "mount",
                           "fsopen", "setns", "unshare"}) {
    EXPECT_EQ(answers.at(name), "EPERM") << name;
  }
  for (const char* name : {"clone3", "newest"}) EXPECT_EQ(answers.at(name), "ENOSYS") << name;
  EXPECT_EQ(answers.at("inet"), "ok");
  EXPECT_EQ(answers.at("ptrace"), "ESRCH") << "allowed";
  for (const char* name : {"unshare32", "unsharex32"}) {
    if (!answers.contains(name)) continue;
    EXPECT_TRUE(answers.at(name) == "EPERM" || answers.at(name) == "ENOSYS") << name << " " << answers.at(name);
  }
}

TEST_F(SeccompSecurity, S04CapabilitiesBringTheirCalls) {
  const auto answers = Probe({"CAP_SYS_ADMIN"}, true);
  EXPECT_EQ(answers.at("clone3"), "EINVAL");
  EXPECT_EQ(answers.at("setns"), "EBADF");
  EXPECT_EQ(answers.at("fsopen"), "ENODEV");
  EXPECT_EQ(answers.at("mount"), "ENOENT");
  for (const char* name : {"keyctl", "kexec", "handle", "alg"}) EXPECT_EQ(answers.at(name), "EPERM") << name;
  const auto handles = Probe({"CAP_DAC_READ_SEARCH"}, true);
  EXPECT_NE(handles.at("handle"), "EPERM");
}

TEST_F(SeccompSecurity, S04WithoutAFilterTheKernelAnswersItself) {
  const auto answers = Probe({"CAP_CHOWN"}, false);
  EXPECT_EQ(answers.at("clone3"), "EINVAL");
  EXPECT_TRUE(answers.at("unshare") == "ok" || answers.at("unshare32") == "ok");
}

TEST_F(SeccompSecurity, S04EachContainerHasAKeyringOfItsOwn) {
  const std::string first = Probe({"CAP_CHOWN"}, false).at("session");
  const std::string second = Probe({"CAP_CHOWN"}, false).at("session");
  EXPECT_NE(first, second);
  EXPECT_GT(std::stol(first), 0);
}

TEST_F(SeccompSecurity, S07TheFilterHoldsForTheFirstProcessWithOneThread) {
  StartPause();
  for (const bool no_new_privileges : {false, true}) {
    auto launch = Launch({"grep", "-E", "^(Threads|Seccomp|Seccomp_filters|NoNewPrivs|CapEff):", "/proc/self/status"});
    launch.spec.process.no_new_privileges = no_new_privileges;
    launch.spec.process.user = {1000, 1000, 022, {}};
    launch.seccomp = *runtime::CompileSeccomp(runtime::DefaultSeccompProfile({}));
    EXPECT_EQ(RunLaunch(launch), std::string("Threads:\t1\nCapEff:\t0000000000000000\nNoNewPrivs:\t") +
                                     (no_new_privileges ? "1" : "0") + "\nSeccomp:\t2\nSeccomp_filters:\t1\n");
  }
}

}  // namespace
}  // namespace fermata::testing
