// The first process of a container: environment, directory, identity, rights, and how its end is reported.
#include <linux/capability.h>

#include <fstream>

#include "tests/e2e/cri_client.h"

namespace fermata::testing {
namespace {

class ProcessTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    if (!IsSkipped()) pod_ = cri().RunPod("process");
  }
  // A container that runs a shell script; a new name every time.
  v1::ContainerConfig Script(const std::string& script) {
    return Cri::ContainerConfig("c" + std::to_string(serial_++), {"sh", "-c", script});
  }
  static v1::LinuxContainerSecurityContext& Security(v1::ContainerConfig& config) {
    return *config.mutable_linux()->mutable_security_context();
  }
  std::string Output(const v1::ContainerConfig& config) {
    const Cri::Outcome outcome = cri().RunToEnd(pod_, config);
    EXPECT_EQ(outcome.status.exit_code(), 0) << outcome.status.message() << outcome.err;
    return outcome.out;
  }
  // A line of /proc/self/status of a container with that configuration.
  std::string StatusLine(v1::ContainerConfig config, const std::string& name) {
    config.clear_command();
    for (const char* word : {"busybox", "awk"}) config.add_command(word);
    config.add_command("$1 == \"" + name + ":\" {print $2}");
    config.add_command("/proc/self/status");
    std::string text = Output(config);
    if (text.ends_with('\n')) text.pop_back();
    return text;
  }

  std::string pod_;
  int serial_ = 0;
};

void SetEnv(v1::ContainerConfig& config, const std::string& key, const std::string& value) {
  v1::KeyValue& pair = *config.add_envs();
  pair.set_key(key);
  pair.set_value(value);
}

TEST_F(ProcessTest, TheRequestsEnvironmentWinsOverTheImagesAndNothingOfTheHostIsThere) {
  v1::ContainerConfig config = Cri::ContainerConfig("env", {"env"});
  EXPECT_EQ(Output(config), "PATH=/bin\nHOSTNAME=process\nHOME=/root\nFROM_IMAGE=yes\n");
  config = Script("echo $FROM_IMAGE $OTHER $PATH");
  SetEnv(config, "FROM_IMAGE", "no");
  SetEnv(config, "OTHER", "a = b");
  EXPECT_EQ(Output(config), "no a = b /bin\n");
}

TEST_F(ProcessTest, ArgumentsReplaceTheImagesCommand) {
  v1::ContainerConfig config = Script("");
  config.clear_command();
  for (const char* word : {"echo", "only", "args"}) config.add_args(word);
  EXPECT_EQ(Output(config), "only args\n");
  config = Script("echo \"$0 $1\"");
  config.add_args("a");
  config.add_args("b c");
  EXPECT_EQ(Output(config), "a b c\n");
}

TEST_F(ProcessTest, AMissingWorkingDirectoryIsMade) {
  v1::ContainerConfig config = Script("pwd");
  config.set_working_dir("/made/for/it");
  EXPECT_EQ(Output(config), "/made/for/it\n");
}

TEST_F(ProcessTest, UsersAndGroupsComeFromTheImageAndTheRequest) {
  v1::ContainerConfig config = Script("id -u; id -g; id -G");
  Security(config).set_run_as_username("user");
  Security(config).add_supplemental_groups(3000);
  EXPECT_EQ(Output(config), "1000\n1000\n1000 2000 3000\n");
  config = Script("id -u; id -g; id -G");
  Security(config).set_run_as_username("user");
  Security(config).add_supplemental_groups(3000);
  Security(config).set_supplemental_groups_policy(v1::Strict);
  EXPECT_EQ(Output(config), "1000\n1000\n1000 3000\n");
  config = Script("id -u; id -g; id -G");
  Security(config).mutable_run_as_user()->set_value(4711);
  Security(config).mutable_run_as_group()->set_value(4712);
  EXPECT_EQ(Output(config), "4711\n4712\n4712\n");
  config = Script("sleep 1000");
  Security(config).mutable_run_as_user()->set_value(1000);
  const std::string id = cri().Run(pod_, config);
  EXPECT_EQ(cri().Shell(id, "id -u; id -G"), "1000\n1000 2000") << "an exec is the same user";
  const v1::LinuxContainerUser user = cri().Status(id).user().linux();
  EXPECT_EQ(user.uid(), 1000);
  EXPECT_EQ(user.gid(), 1000);
  EXPECT_EQ(std::vector<int64_t>(user.supplemental_groups().begin(), user.supplemental_groups().end()),
            (std::vector<int64_t>{1000, 2000}));
  config = Script("true");
  Security(config).mutable_run_as_group()->set_value(1000);
  EXPECT_TRUE(Is(cri().TryCreate(pod_, config), grpc::StatusCode::INVALID_ARGUMENT, "run_as_group"));
}

TEST_F(ProcessTest, CapabilitiesAreTheDefaultsAndWhatIsAddedAndDropped) {
  EXPECT_EQ(StatusLine(Script(""), "CapEff"), "00000000a80425fb");  // the fourteen of containerd and CRI-O
  EXPECT_EQ(StatusLine(Script(""), "CapInh"), "0000000000000000");
  v1::ContainerConfig config = Script("");
  Security(config).mutable_capabilities()->add_drop_capabilities("ALL");
  EXPECT_EQ(StatusLine(config, "CapBnd"), "0000000000000000");
  config = Script("");
  Security(config).mutable_capabilities()->add_drop_capabilities("ALL");
  Security(config).mutable_capabilities()->add_add_capabilities("NET_ADMIN");
  EXPECT_EQ(StatusLine(config, "CapEff"), "0000000000001000");
  config = Script("");
  Security(config).mutable_capabilities()->add_add_ambient_capabilities("CAP_NET_RAW");
  Security(config).mutable_run_as_user()->set_value(1000);
  EXPECT_EQ(StatusLine(config, "CapEff"), "0000000000002000");
  config = Script("");
  Security(config).mutable_run_as_user()->set_value(1000);
  EXPECT_EQ(StatusLine(config, "CapEff"), "0000000000000000");
}

TEST_F(ProcessTest, NoNewPrivilegesIsSetWhenAskedFor) {
  EXPECT_EQ(StatusLine(Script(""), "NoNewPrivs"), "0");
  v1::ContainerConfig config = Script("");
  Security(config).set_no_new_privs(true);
  EXPECT_EQ(StatusLine(config, "NoNewPrivs"), "1");
}

TEST_F(ProcessTest, TheDefaultFilterForbidsWhatUnconfinedMayDo) {
  v1::ContainerConfig unconfined = Script("");
  Security(unconfined).mutable_seccomp()->set_profile_type(v1::SecurityProfile::Unconfined);
  EXPECT_EQ(StatusLine(unconfined, "Seccomp"), "0");
  v1::ContainerConfig filtered = Script("");
  Security(filtered).mutable_seccomp()->set_profile_type(v1::SecurityProfile::RuntimeDefault);
  EXPECT_EQ(StatusLine(filtered, "Seccomp"), "2");
  v1::ContainerConfig unset = Script("");
  EXPECT_EQ(StatusLine(unset, "Seccomp"), "0") << "no profile at all is unconfined, as kubelet means it";

  const std::string script = "busybox unshare -U true && echo may || echo may not";
  v1::ContainerConfig may = Script(script);
  *may.mutable_linux() = unconfined.linux();
  EXPECT_EQ(Output(may), "may\n");
  v1::ContainerConfig may_not = Script(script);
  *may_not.mutable_linux() = filtered.linux();
  EXPECT_EQ(Output(may_not), "may not\n");

  v1::ContainerConfig running = Script("sleep 1000");
  *running.mutable_linux() = filtered.linux();
  EXPECT_EQ(cri().Shell(cri().Run(pod_, running), "grep Seccomp: /proc/self/status"), "Seccomp:\t2");
}

TEST_F(ProcessTest, ALocalProfileIsUsed) {
  WriteText(daemon() / "no-mkdir.json", R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]})");
  v1::ContainerConfig config = Script("mkdir /tmp/x 2>&1; touch /tmp/y && echo rest works");
  Security(config).mutable_seccomp()->set_profile_type(v1::SecurityProfile::Localhost);
  Security(config).mutable_seccomp()->set_localhost_ref(daemon() / "no-mkdir.json");
  EXPECT_EQ(Output(config), "mkdir: can't create directory '/tmp/x': Operation not supported\nrest works\n");
}

TEST_F(ProcessTest, APrivilegedContainerHasTheHostsRightsAndDevices) {
  v1::ContainerConfig config = Script("sleep 1000");
  Security(config).set_privileged(true);
  Security(config).mutable_seccomp()->set_profile_type(v1::SecurityProfile::RuntimeDefault);
  EXPECT_TRUE(Is(cri().TryCreate(pod_, config), grpc::StatusCode::INVALID_ARGUMENT, "privileged"));
  v1::PodSandboxConfig pod = cri().PodConfig("privileged");
  pod.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string id = cri().Run(cri().RunPod(pod), config);
  const std::string own = ReadText("/proc/self/status");
  const std::string bound = own.substr(own.find("CapBnd:"), 24);
  EXPECT_EQ(cri().Shell(id, "grep CapBnd: /proc/self/status"), bound);
  EXPECT_EQ(cri().Shell(id, "grep Seccomp: /proc/self/status"), "Seccomp:\t0");
  EXPECT_EQ(cri().Shell(id, "mkdir /tmp/m && mount -t tmpfs x /tmp/m && echo mounted"), "mounted");
  EXPECT_EQ(cri().Shell(id, "test -c /dev/kmsg && echo there"), "there");
  EXPECT_EQ(cri().Shell(id, "test -w /proc/sys/kernel/shm_rmid_forced && echo writable"), "writable");
}

TEST_F(ProcessTest, TheOomScoreIsSet) {
  v1::ContainerConfig config = Script("cat /proc/self/oom_score_adj");
  config.mutable_linux()->mutable_resources()->set_oom_score_adj(876);
  EXPECT_EQ(Output(config), "876\n");
}

TEST_F(ProcessTest, ExitCodesAndReasonsAreReported) {
  struct Case {
    const char* script;
    int code;
    const char* reason;
  };
  for (const Case& one :
       {Case{"exit 0", 0, "Completed"}, Case{"exit 3", 3, "Error"}, Case{"exit 255", 255, "Error"},
        Case{"kill -TERM $$; sleep 10", 143, "Error"}, Case{"kill -SEGV $$; sleep 10", 139, "Error"}}) {
    v1::ContainerConfig config = Script(one.script);
    Security(config).mutable_namespace_options()->set_pid(v1::POD);
    const Cri::Outcome outcome = cri().RunToEnd(pod_, config);
    EXPECT_EQ(outcome.status.exit_code(), one.code) << one.script;
    EXPECT_EQ(outcome.status.reason(), one.reason) << one.script;
    EXPECT_GE(outcome.status.finished_at(), outcome.status.started_at());
    EXPECT_GT(outcome.status.started_at(), 0);
  }
}

TEST_F(ProcessTest, TheStopSignalIsTheRequestsAndItsEndIsWaitedFor) {
  v1::ContainerConfig config = Script("trap 'echo got it; exit 42' USR1; echo up; while :; do usleep 10000; done");
  config.set_stop_signal(v1::SIGNAL_SIGUSR1);
  const std::string id = cri().Run(pod_, config);
  const v1::ContainerStatus status = cri().Status(id);
  EXPECT_EQ(status.stop_signal(), v1::SIGNAL_SIGUSR1);
  ASSERT_TRUE(WaitUntil([&] { return !ReadText(status.log_path()).empty(); }));
  ASSERT_TRUE(Ok(cri().Stop(id, 30)));
  EXPECT_EQ(cri().Status(id).exit_code(), 42);
  EXPECT_EQ(JoinedLog(status.log_path()), "up\ngot it\n") << "all output is in the file when the state is EXITED";
}

// Two that the daemon has no use for, and one that it needs: its own sets, and what a container may still be given.
TEST_F(ProcessTest, TheDaemonGivesUpWhatItDoesNotNeedAndContainersMayStillGetIt) {
  const auto effective = [](pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string word; status >> word;) {
      if (word == "CapEff:") return status >> word, std::stoull(word, nullptr, 16);
    }
    return 0ULL;
  };
  const auto has = [](unsigned long long set, int capability) { return (set >> capability & 1) != 0; };
  const auto ours = effective(daemon().pid());
  EXPECT_FALSE(has(ours, CAP_SYS_MODULE));
  EXPECT_FALSE(has(ours, CAP_SYSLOG));
  EXPECT_TRUE(has(ours, CAP_SYS_ADMIN));
  const std::string pod = cri().RunPod("full");
  v1::ContainerConfig config = Cri::ContainerConfig("all", {"sleep", "1000"});
  config.mutable_linux()->mutable_security_context()->mutable_capabilities()->add_add_capabilities("SYSLOG");
  EXPECT_TRUE(has(effective(cri().Pid(cri().Run(pod, config))), CAP_SYSLOG));
}

}  // namespace
}  // namespace fermata::testing
