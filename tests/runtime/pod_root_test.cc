// Real namespaces and processes, without the daemon.
#include "tests/runtime/pod_fixture.h"

#include <signal.h>

#include "runtime/monitor/exit_record.h"

namespace fermata::testing {
namespace {

TEST_F(PodTest, ContainerRunsAndItsOutputAndExitCodeArrive) {
  StartPause();
  const std::string output = Output("c1", Launch({"sh", "-c", "echo hello; echo to-stderr >&2; exit 3"}));
  EXPECT_NE(output.find("hello\n"), std::string::npos) << output;
  EXPECT_NE(output.find("to-stderr\n"), std::string::npos) << output;
  EXPECT_EQ(WaitExit("c1").exit_code, 3);
}

TEST_F(PodTest, ContainersSharePidNetworkUtsAndShm) {
  StartPause();
  ASSERT_OK(Start("a", Launch({"sh", "-c", "echo shared > /dev/shm/x; sleep 1000"})));
  const auto processes = Exec("a", {"sh", "-c", "until [ -s /dev/shm/x ]; do :; done; ps"});
  ASSERT_OK(processes);
  EXPECT_NE(processes->output[0].find("fermata-pause"), std::string::npos) << processes->output[0];
  const std::string output = Output("b", Launch({"sh", "-c", "cat /dev/shm/x; ps; hostname; ip link show lo"}));
  EXPECT_NE(output.find("shared\n"), std::string::npos) << output;
  EXPECT_NE(output.find("sleep 1000"), std::string::npos) << output;
  EXPECT_NE(output.find("pod\n"), std::string::npos) << output;
  EXPECT_NE(output.find("LOOPBACK,UP"), std::string::npos) << output;
}

TEST_F(PodTest, OwnPidNamespaceHidesOthers) {
  StartPause(kShared);
  auto launch = Launch({"sh", "-c", "echo pid $$"});
  launch.pid = runtime::PidNamespace::kOwn;
  EXPECT_EQ(Output("own", launch), "pid 1\n");
}

TEST_F(PodTest, FileTreeIsTheContainersOwn) {
  StartPause();
  const std::string output =
      Output("m", Launch({"sh", "-c",
                          "ls -d /bin/busybox; cat /proc/1/comm; ls /dev; cat /proc/kcore | wc -c; "
                          "(echo x > /proc/sys/kernel/domainname) 2>&1; wc -l < /proc/self/mountinfo; ls "
                          "/sys/fs/cgroup | head -n 1"}));
  EXPECT_NE(output.find("fermata-pause\n"), std::string::npos) << output;
  EXPECT_NE(output.find("Read-only file system"), std::string::npos) << output;
  EXPECT_NE(output.find("urandom\n"), std::string::npos) << output;
  EXPECT_EQ(output.find("kmsg\n"), std::string::npos) << output;
}

TEST_F(PodTest, FirstProcessHasOnlyItsStandardStreams) {
  StartPause();
  EXPECT_EQ(Output("fds", Launch({"sh", "-c", "exec ls /proc/self/fd"})), "0\n1\n2\n3\n");  // 3: ls itself
  const std::string status = Output("sig", Launch({"grep", "-E", "^Sig(Blk|Ign)|NSsid", "/proc/self/status"}));
  EXPECT_NE(status.find("SigBlk:\t0000000000000000"), std::string::npos) << status;
  EXPECT_NE(status.find("SigIgn:\t0000000000000000"), std::string::npos) << status;
}

TEST_F(PodTest, UserGroupsAndCapabilitiesAreAsAsked) {
  StartPause();
  auto launch = Launch({"sh", "-c", "id; grep Cap /proc/self/status; echo out > /dev/stdout"});
  launch.spec.process.user = {1000, 1000, 027, {2000}};
  launch.spec.process.capabilities.bounding = {"CAP_CHOWN", "CAP_KILL"};
  auto filter = runtime::CompileSeccomp(runtime::DefaultSeccompProfile({}));
  ASSERT_OK(filter);
  launch.seccomp = *filter;
  const std::string output = Output("user", launch);
  EXPECT_NE(output.find("uid=1000"), std::string::npos) << output;
  EXPECT_NE(output.find("2000"), std::string::npos) << output;
  EXPECT_NE(output.find("CapEff:\t0000000000000000"), std::string::npos) << output;
  EXPECT_NE(output.find("CapPrm:\t0000000000000000"), std::string::npos) << output;
  EXPECT_NE(output.find("CapBnd:\t0000000000000021"), std::string::npos) << output;
  EXPECT_NE(output.find("out\n"), std::string::npos) << output;
}

TEST_F(PodTest, RootHasExactlyItsCapabilitiesUnderTheDefaultProfile) {
  StartPause();
  const std::vector<std::string> names = {"CAP_CHOWN", "CAP_KILL"};
  for (const bool no_new_privileges : {false, true}) {
    auto launch = Launch({"grep", "-E", "Cap|Seccomp:|NoNew", "/proc/self/status"});
    launch.spec.process.capabilities = {names, names, {}, names, {}};
    launch.spec.process.no_new_privileges = no_new_privileges;
    launch.seccomp = *runtime::CompileSeccomp(runtime::DefaultSeccompProfile(names));
    const std::string output = Output(no_new_privileges ? "nnp" : "root", launch);
    EXPECT_NE(output.find("CapEff:\t0000000000000021"), std::string::npos) << output;
    EXPECT_NE(output.find("CapInh:\t0000000000000000"), std::string::npos) << output;
    EXPECT_NE(output.find("Seccomp:\t2"), std::string::npos) << output;
  }
}

TEST_F(PodTest, AProfileOlderThanTheCallsThatWeMakeStartsAndExecs) {
  StartPause();
  auto launch = Launch({"sleep", "1000"});
  runtime::Seccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  runtime::SeccompRule& young = profile.rules.emplace_back();
  young.names = {"close_range",   "openat2", "faccessat2", "clone3",     "pidfd_open", "pidfd_send_signal",
                 "mount_setattr", "fsopen",  "open_tree",  "move_mount", "execveat",   "statx"};
  young.action = "SCMP_ACT_ERRNO";
  for (const bool no_new_privileges : {false, true}) {
    launch.spec.process.no_new_privileges = no_new_privileges;
    launch.seccomp = *runtime::CompileSeccomp(profile);
    const std::string name = no_new_privileges ? "nnp" : "root";
    ASSERT_OK(Start(name, launch));
    for (const bool two_stages : {false, true}) {
      const auto result = Exec(name, {"echo", "out"}, 10'000, two_stages, launch.seccomp);
      ASSERT_OK(result);
      EXPECT_EQ(result->output[0], "out\n");
    }
  }
}

TEST_F(PodTest, ExecGivesOutputAndExitCode) {
  StartPause();
  ASSERT_OK(Start("c", Launch({"sleep", "1000"})));
  const auto result = Exec("c", {"sh", "-c", "echo out; echo err >&2; exit 7"});
  ASSERT_OK(result);
  EXPECT_EQ(result->output[0], "out\n");
  EXPECT_EQ(result->output[1], "err\n");
  EXPECT_EQ(result->exit_code, 7);
  EXPECT_EQ(cgroup_.Count(), 3U) << "the exec's group is gone";
}

TEST_F(PodTest, ExecThatTakesTooLongIsKilledWhole) {
  StartPause();
  ASSERT_OK(Start("c", Launch({"sleep", "1000"})));
  const auto result = Exec("c", {"sh", "-c", "sleep 4321 & sleep 4321"}, 200);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kDeadlineExceeded);
  // Killed is not gone yet: the kernel takes its time to end a process.
  std::string processes = "4321";
  for (int looks = 0; looks < 50 && processes.find("4321") != std::string::npos; ++looks) {
    const auto ps = Exec("c", {"ps"});
    ASSERT_OK(ps);
    processes = ps->output[0];
  }
  EXPECT_EQ(processes.find("4321"), std::string::npos) << processes;
}

TEST_F(PodTest, ExecDoesNotWaitForWhatItLeftInTheBackground) {
  StartPause();
  ASSERT_OK(Start("c", Launch({"sleep", "1000"})));
  const auto begin = std::chrono::steady_clock::now();
  const auto result = Exec("c", {"sh", "-c", "sleep 30 & echo done"});
  ASSERT_OK(result);
  EXPECT_EQ(result->output[0], "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST_F(PodTest, LargeExecOutputArrivesWhole) {
  StartPause();
  ASSERT_OK(Start("c", Launch({"sleep", "1000"})));
  const auto result = Exec("c", {"sh", "-c", "seq 1 300000"}, 60'000);
  ASSERT_OK(result);
  EXPECT_EQ(result->output[0].size(), 1988895U);
  EXPECT_TRUE(result->output[0].ends_with("\n300000\n"));
}

TEST_F(PodTest, TwoStagesRunContainersAndExecs) {
  StartPause();
  auto launch = Launch({"sh", "-c", "echo $$ $(cat /proc/1/comm); sleep 1000"});
  launch.two_stages = true;
  ASSERT_OK(Start("c", launch));
  const auto result = Exec("c", {"sh", "-c", "echo via $$; exit 5"}, 10'000, true);
  ASSERT_OK(result);
  EXPECT_EQ(result->exit_code, 5);
  EXPECT_EQ(result->output[0].substr(0, 4), "via ");
  // Now and then the second stage has ended before the first has told of it.
  for (int i = 0; i < 200; ++i) {
    const auto ended = Exec("c", {"true"}, 10'000, true);
    ASSERT_OK(ended);
    ASSERT_EQ(ended->exit_code, 0);
  }
  ASSERT_OK(monitor_->Signal("c", SIGKILL));
  EXPECT_EQ(WaitExit("c").exit_code, 137);
}

// A container with CAP_SYS_PTRACE seizes whoever enters its PID namespace; with two stages what it gets has the
// container's own rights and root directory, nothing of the host's.
TEST_F(PodTest, AnAttackerInThePidNamespaceGetsNothingOfTheHost) {
  StartPause();
  std::filesystem::copy_file(FERMATA_ATTACKER, root_ + "/bin/attacker");
  const std::vector<std::string> names = {"CAP_SYS_PTRACE", "CAP_CHOWN"};
  const auto with_capabilities = [&](runtime::ContainerLaunch launch) {
    launch.spec.process.capabilities = {names, names, {}, names, {}};
    launch.seccomp = *runtime::CompileSeccomp(runtime::DefaultSeccompProfile(names));
    launch.two_stages = true;
    return launch;
  };
  char allowed[32];
  (void)std::snprintf(allowed, sizeof allowed, "%llx", (1ULL << 19) | 1ULL);
  ASSERT_OK(Start("attacker", with_capabilities(Launch({"attacker", allowed, root_}))));
  while (Log("attacker").find("ready") == std::string::npos) ::usleep(1000);
  for (int i = 0; i < 40; ++i) {
    const std::string id = "victim" + std::to_string(i);
    const auto started = Start(id, with_capabilities(Launch({"true"})));
    if (started) (void)WaitExit(id);
  }
  ASSERT_OK(Start("target", with_capabilities(Launch({"sleep", "1000"}))));
  for (int i = 0; i < 40; ++i) (void)Exec("target", {"true"}, 10'000, true);
  ASSERT_OK(monitor_->Signal("attacker", SIGTERM));
  (void)WaitExit("attacker");
  const std::string log = Log("attacker");
  EXPECT_NE(log.find(" privileged 0\n"), std::string::npos) << log;
  EXPECT_EQ(log.find("seized 0 "), std::string::npos) << "the attack itself must work: " << log;
}

TEST_F(PodTest, CommandNotFoundIsTheCallersMistakeAndLeavesNothing) {
  StartPause();
  const auto started = Start("c", Launch({"no-such-program"}));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(started.error().message(), "exec: \"no-such-program\": executable file not found in $PATH");
  const auto denied = Start("d", Launch({"/etc/passwd"}));
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().message(), "exec: \"/etc/passwd\": Permission denied");
  ASSERT_OK(Start("e", Launch({"true"})));  // the pod still works
}

TEST_F(PodTest, FailedMountNamesStepAndPath) {
  StartPause();
  auto launch = Launch({"true"});
  launch.spec.mounts.push_back({"/mnt", "bind", "/no/such/path", {"rbind"}});
  const auto started = Start("c", launch);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message(), "open /no/such/path for /mnt: No such file or directory");
}

TEST_F(PodTest, KilledContainerTakesItsWholeGroupWithIt) {
  StartPause();
  ASSERT_OK(Start("c", Launch({"sh", "-c", "sleep 777 & sleep 778 & wait"})));
  ASSERT_OK(Start("other", Launch({"sleep", "1000"})));
  ASSERT_OK(monitor_->Signal("c", SIGKILL));
  EXPECT_EQ(WaitExit("c").exit_code, 137);
  const auto processes = Exec("other", {"ps"});
  ASSERT_OK(processes);
  EXPECT_EQ(processes->output[0].find("sleep 77"), std::string::npos) << processes->output[0];
}

TEST_F(PodTest, AnotherDaemonTakesOver) {
  StartPause();
  ASSERT_OK(Start("runs", Launch({"sleep", "1000"})));
  ASSERT_OK(Start("ends", Launch({"sh", "-c", "exit 9"})));
  (void)WaitExit("ends");
  const pid_t pid = monitor_->pid();
  auto taken = runtime::MonitorClient::Connect(*reactor_, run_.get(), Events());
  ASSERT_OK(taken);
  EXPECT_EQ((*taken)->pid(), pid);
  const auto state = (*taken)->State();
  ASSERT_OK(state);
  ASSERT_EQ(state->containers.size(), 2U);
  EXPECT_EQ(state->containers[0].id, "ends");
  ASSERT_TRUE(state->containers[0].exit.has_value());
  EXPECT_EQ(state->containers[0].exit->exit_code, 9);
  EXPECT_FALSE(state->containers[1].exit.has_value());
  auto old = std::exchange(monitor_, *taken);
  const auto exec = Exec("runs", {"true"});
  EXPECT_OK(exec);
  EXPECT_OK(monitor_->Stop());
  EXPECT_OK(monitor_->Quit());
  monitor_ = nullptr;
  const auto exits = ReadFileAt(run_.get(), "exits");
  ASSERT_OK(exits);
  EXPECT_EQ(runtime::ParseExitRecords(*exits).size(), 2U);
}

TEST_F(PodTest, LogIsReopened) {
  StartPause();
  ASSERT_OK(Start(
      "c",
      Launch({"sh", "-c",
              "while read line; do :; done < /dev/null; echo one; until [ -e /dev/shm/go ]; do :; done; echo two"})));
  ASSERT_OK(Exec("c", {"true"}));
  while (Log("c") != "one\n") ::usleep(1000);
  std::filesystem::rename(LogPath("c"), LogPath("c") + ".1");
  const auto fresh = OpenAt(AT_FDCWD, LogPath("c"), O_WRONLY | O_CREAT | O_APPEND, 0640);
  ASSERT_OK(fresh);
  ASSERT_OK(monitor_->ReopenLog("c", fresh->get()));
  ASSERT_OK(Exec("c", {"touch", "/dev/shm/go"}));
  (void)WaitExit("c");
  EXPECT_EQ(Log("c"), "two\n");
}

TEST_F(PodTest, NoMountIsAddedOnTheHost) {
  const auto count = [] {
    return std::count(std::istreambuf_iterator<char>(*std::make_unique<std::ifstream>("/proc/self/mountinfo")), {},
                      '\n');
  };
  const auto before = count();
  StartPause();
  ASSERT_OK(Start("c", Launch({"sleep", "1000"})));
  EXPECT_EQ(count(), before);
}

}  // namespace
}  // namespace fermata::testing
