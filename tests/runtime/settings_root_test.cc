// What config.json says of a process beside its identity, as the process itself sees it.
#include <gmock/gmock.h>

#include "tests/runtime/pod_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST_F(PodTest, SchedulingIsAsAsked) {
  StartPause();
  // Of /proc/self/stat: 19 is the nice value, 41 the policy (proc(5)).
  auto launch = Launch(
      {"sh", "-c", "set -- $(cat /proc/self/stat); shift 18; echo nice $1; shift 22; echo policy $1; ionice -p $$"});
  launch.spec.process.scheduler = {.policy = "SCHED_BATCH", .nice = 5};
  launch.spec.process.io_priority = {"IOPRIO_CLASS_BE", 3};
  EXPECT_EQ(Output("c", launch), "nice 5\npolicy 3\nbest-effort: prio 3\n");
}

TEST_F(PodTest, ARefusedPolicyNamesItself) {
  StartPause();
  auto launch = Launch({"true"});
  launch.spec.process.scheduler = {.policy = "SCHED_DEADLINE"};  // without a runtime
  const auto started = Start("c", launch);
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("set scheduling policy SCHED_DEADLINE"));
}

TEST_F(PodTest, PersonalityIsOfTheContainerAndItsExecs) {
  StartPause();
  auto launch = Launch({"sh", "-c", "uname -m"});
  launch.spec.linux.personality = runtime::Personality{"LINUX32"};
  EXPECT_EQ(Output("ends", launch), "i686\n");
  launch.spec.process.args = {"sleep", "1000"};
  ASSERT_OK(Start("c", launch));
  runtime::ExecLaunch exec{.process = BusyboxSpec(root_, {"sh", "-c", "uname -m"}).process,
                           .join_namespaces = kShared,
                           .personality = launch.spec.linux.personality,
                           .seccomp = {}};
  const auto plan = runtime::PlanExec(exec);
  ASSERT_OK(plan);
  const auto result = monitor_->Exec("c", *plan, std::chrono::seconds(10));
  ASSERT_OK(result);
  EXPECT_EQ(result->output[0], "i686\n");
}

TEST_F(PodTest, AnExecRunsOnTheCpusAskedFor) {
  StartPause();
  ASSERT_OK(Start("c", Launch({"sleep", "1000"})));
  runtime::ExecLaunch exec{.process = BusyboxSpec(root_, {"grep", "Cpus_allowed_list", "/proc/self/status"}).process,
                           .join_namespaces = kShared,
                           .personality = {},
                           .seccomp = {}};
  exec.process.exec_cpu_affinity = {.initial_cpus = "0-1", .final_cpus = "0"};
  auto plan = runtime::PlanExec(exec);
  ASSERT_OK(plan);
  const auto result = monitor_->Exec("c", *plan, std::chrono::seconds(10));
  ASSERT_OK(result);
  EXPECT_THAT(result->output[0], EndsWith("\t0\n"));
  exec.process.exec_cpu_affinity = {.initial_cpus = "", .final_cpus = "8191"};
  plan = runtime::PlanExec(exec);
  ASSERT_OK(plan);
  const auto refused = monitor_->Exec("c", *plan, std::chrono::seconds(10));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("set CPU affinity 8191"));
}

TEST_F(PodTest, ATimeNamespaceHasItsOwnClocks) {
  StartPause();
  auto launch = Launch({"sh", "-c", "cut -d. -f1 /proc/uptime; readlink /proc/self/ns/time"});
  launch.spec.linux.namespaces.push_back({"time", ""});
  launch.spec.linux.time_offsets["boottime"] = {1'000'000'000, 0};
  std::istringstream lines(Output("ends", launch));
  long uptime = 0;
  std::string own;
  lines >> uptime >> own;
  EXPECT_GE(uptime, 1'000'000'000);
  EXPECT_NE(own, std::filesystem::read_symlink("/proc/self/ns/time"));
  launch.spec.process.args = {"sleep", "1000"};
  const auto started = Start("c", launch);
  ASSERT_OK(started);
  own = std::filesystem::read_symlink("/proc/" + std::to_string(started->pid) + "/ns/time");
  runtime::ExecLaunch exec{.process = BusyboxSpec(root_, {"readlink", "/proc/self/ns/time"}).process,
                           .join_namespaces = kShared | CLONE_NEWTIME,
                           .personality = {},
                           .seccomp = {}};
  const auto plan = runtime::PlanExec(exec);
  ASSERT_OK(plan);
  const auto result = monitor_->Exec("c", *plan, std::chrono::seconds(10));
  ASSERT_OK(result);
  EXPECT_EQ(result->output[0], own + "\n");
}

// Where the kernel has no such module the start fails; it never goes on without the label.
TEST_F(PodTest, R09ASecurityLabelIsTakenOrTheStartFails) {
  StartPause();
  std::ifstream parameter("/sys/module/apparmor/parameters/enabled");
  const bool app_armor = parameter.get() == 'Y';
  auto launch = Launch({"cat", "/proc/self/attr/current"});
  launch.spec.process.apparmor_profile = "unconfined";
  if (app_armor) {
    EXPECT_EQ(Output("confined", launch), "unconfined\n");
  } else {
    const auto started = Start("confined", launch);
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().message(), HasSubstr("set AppArmor profile unconfined"));
  }
  launch.spec.process.apparmor_profile = "no_such_profile";
  const auto unknown = Start("unknown", launch);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message(), HasSubstr("set AppArmor profile no_such_profile"));
}

// All of the host's /dev, with what is mounted below it.
TEST_F(PodTest, RecursiveAttributesReachAllMountsBelow) {
  StartPause();
  auto launch = Launch({"sh", "-c", "grep ' /host' /proc/self/mountinfo | cut -d' ' -f5,6"});
  launch.spec.mounts.push_back({"/host", "bind", "/dev", {"rbind", "rro", "rnoexec", "rnosuid", "rnoatime"}});
  std::istringstream lines(Output("c", launch));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    for (const char* option : {" ro", ",nosuid", ",noexec", ",noatime"}) EXPECT_THAT(line, HasSubstr(option));
  }
  EXPECT_GT(count, 1) << "nothing is mounted below /dev here";
}

}  // namespace
}  // namespace fermata::testing
