// The life of a container, and what callers read of it.
#include <fcntl.h>
#include <sys/mman.h>

#include "tests/oci/oci_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST_F(OciTest, AContainerIsCreatedStartedKilledAndDeleted) {
  SetScript("sleep 1000");
  config["annotations"]["of"] = "a test";
  ASSERT_EQ(Create().code, 0);
  const Json created = Json::parse(Oci({"state", "c"}).out);
  EXPECT_EQ(created.at("ociVersion"), "1.2.0");
  EXPECT_EQ(created.at("id"), "c");
  EXPECT_EQ(created.at("status"), "created");
  EXPECT_EQ(created.at("bundle"), Path("bundle"));
  EXPECT_EQ(created.at("rootfs"), Path("bundle/rootfs"));
  EXPECT_EQ(created.at("annotations").at("of"), "a test");
  EXPECT_THAT(created.at("created").get<std::string>(), MatchesRegex("....-..-..T..:..:..\\..........Z"));
  EXPECT_THAT(Slurp("/proc/" + std::to_string(PidOf()) + "/cgroup"), HasSubstr("0::" + group()));

  EXPECT_EQ(Oci({"start", "c"}).code, 0);
  EXPECT_EQ(StatusOf(), "running");
  const Outcome twice = Oci({"start", "c"});
  EXPECT_EQ(twice.code, 1);
  EXPECT_THAT(twice.err, HasSubstr("cannot start a container in the running state"));
  EXPECT_THAT(Oci({"ps", "c"}).out, HasSubstr("sleep 1000"));
  EXPECT_EQ(Json::parse(Oci({"ps", "--format", "json", "c"}).out), Json::array({PidOf()}));
  EXPECT_EQ(Oci({"list", "-q"}).out, "c\n");
  EXPECT_EQ(Json::parse(Oci({"list", "-f", "json"}).out).at(0).at("status"), "running");
  EXPECT_THAT(Oci({"list"}).out,
              ::testing::ContainsRegex("ID +PID +STATUS +BUNDLE +CREATED +OWNER\nc +[0-9]+ +running"));

  const Outcome running = Oci({"delete", "c"});
  EXPECT_EQ(running.code, 1);
  EXPECT_THAT(running.err, HasSubstr("cannot delete container c that is not stopped: running"));
  EXPECT_EQ(Oci({"kill", "c", "KILL"}).code, 0);
  AwaitEnd();
  EXPECT_EQ(StatusOf(), "stopped");
  const Outcome dead = Oci({"kill", "c", "9"});
  EXPECT_EQ(dead.code, 1);
  EXPECT_THAT(dead.err, HasSubstr("container not running"));
  EXPECT_EQ(Oci({"delete", "c"}).code, 0);
  const Outcome gone = Oci({"state", "c"});
  EXPECT_EQ(gone.code, 1);
  EXPECT_THAT(gone.err, HasSubstr("container c does not exist"));
  EXPECT_EQ(Oci({"delete", "c"}).code, 1);
  EXPECT_EQ(Oci({"delete", "--force", "c"}).code, 0) << "nothing there is what was asked for";
}

TEST_F(OciTest, AnIdIsTakenOnlyOnceAndNeverAPath) {
  StartSleeper();
  const Outcome again = Create();
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, HasSubstr("container with id exists already: c"));
  EXPECT_EQ(StatusOf(), "running") << "the failed create took nothing from the first";
  for (const char* id : {"", ".", "..", "a/b", "a b", "../c"}) EXPECT_EQ(Create({}, id).code, 1) << id;
}

TEST_F(OciTest, AGroupWithProcessesInItIsNotTaken) {
  StartSleeper();
  const Outcome other = Create({}, "other");
  EXPECT_EQ(other.code, 1);
  EXPECT_THAT(other.err, HasSubstr("processes are in it already"));
  EXPECT_EQ(StatusOf(), "running");
}

TEST_F(OciTest, RunGivesTheExitCodeOrTheSignalAndRemovesTheContainer) {
  EXPECT_EQ(RunScript("exit 7").code, 7);
  EXPECT_EQ(RunScript("exit 0").code, 0);
  config["linux"]["namespaces"].erase(0);  // PID 1 of a namespace ignores its own signals
  EXPECT_EQ(RunScript("kill -TERM $$").code, 128 + 15);
  const Outcome said = RunScript("echo out; echo err >&2");
  EXPECT_EQ(said.out, "out\n");
  EXPECT_EQ(said.err, "err\n");
  EXPECT_EQ(Oci({"list", "-q"}).out, "");
  EXPECT_EQ(RunScript("exit 3", {"--keep"}).code, 3);
  EXPECT_EQ(StatusOf(), "stopped");
  EXPECT_EQ(Oci({"delete", "c"}).code, 0);
}

TEST_F(OciTest, RunPassesSignalsOnToTheContainer) {
  MakeFifo("tmp/ready");
  SetScript("trap 'exit 42' TERM; echo ready >/tmp/ready; while :; do sleep 1000 & wait $!; done");
  WriteConfig();
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto run = Begin({"run", "-b", Path("bundle"), "c"}, null.get(), null.get(), null.get());
  ASSERT_OK(run);
  EXPECT_EQ(ReadFifo("tmp/ready"), "ready");
  EXPECT_OK(run->pidfd.Signal(SIGTERM));
  EXPECT_EQ(*Reap(run->pidfd), 42);
}

TEST_F(OciTest, RunDetachedLeavesTheContainerRunning) {
  SetScript("sleep 1000");
  WriteConfig();
  EXPECT_EQ(Oci({"run", "-d", "-b", Path("bundle"), "c"}).code, 0);
  EXPECT_EQ(StatusOf(), "running");
}

TEST_F(OciTest, KillReachesOneProcessOrAll) {
  MakeFifo("tmp/ready");
  SetScript("trap 'exit 5' USR1; sleep 1000 & echo ready >/tmp/ready; while :; do wait; done");
  ASSERT_EQ(Create().code, 0);
  ASSERT_EQ(Oci({"start", "c"}).code, 0);
  EXPECT_EQ(ReadFifo("tmp/ready"), "ready");
  EXPECT_EQ(Oci({"kill", "c", "SIGNONSENSE"}).code, 1);
  EXPECT_EQ(Oci({"kill", "c", "usr1"}).code, 0);
  AwaitEnd();
  EXPECT_EQ(Oci({"kill", "--all", "c", "KILL"}).code, 0) << "also of a stopped one";
}

TEST_F(OciTest, ThePidFileHoldsThePid) {
  SetScript("sleep 1000");
  ASSERT_EQ(Create({"--pid-file", Path("pid")}).code, 0);
  EXPECT_EQ(Slurp(Path("pid")), std::to_string(PidOf()));
}

TEST_F(OciTest, PreservedDescriptorsReachTheProgramAndNoOthersDo) {
  const UniqueFd first(::memfd_create("first", MFD_CLOEXEC));
  const UniqueFd second(::memfd_create("second", MFD_CLOEXEC));
  SetScript("echo one >&3; echo two >&4; ls /proc/$$/fd");
  WriteConfig();
  const Outcome run = Oci({"run", "--preserve-fds", "2", "-b", Path("bundle"), "c"}, {first.get(), second.get()});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(Slurp("/proc/self/fd/" + std::to_string(first.get())), "one\n");
  EXPECT_EQ(Slurp("/proc/self/fd/" + std::to_string(second.get())), "two\n");
  EXPECT_THAT(run.out, ::testing::StartsWith("0\n1\n2\n3\n4\n"));
  EXPECT_EQ(RunScript("ls /proc/$$/fd; :").out.substr(0, 6), "0\n1\n2\n");
  const Outcome closed = RunScript("true", {"--preserve-fds", "1"});
  EXPECT_EQ(closed.code, 1);
  EXPECT_THAT(closed.err, HasSubstr("descriptor 3 is not open"));
}

TEST_F(OciTest, FailuresAreLinesOfTheLog) {
  EXPECT_EQ(Oci({"--log", Path("log"), "--log-format", "json", "state", "nobody"}).code, 1);
  EXPECT_EQ(Oci({"--log", Path("log"), "--log-format", "json", "start", "no\"body"}).code, 1);
  std::istringstream lines(Slurp(Path("log")));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  const Json entry = Json::parse(line);
  EXPECT_EQ(entry.at("level"), "error");
  EXPECT_EQ(entry.at("msg"), "container nobody does not exist");
  EXPECT_THAT(entry.at("time").get<std::string>(), MatchesRegex("....-..-..T..:..:..Z"));
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(Json::parse(line).at("level"), "error");
  EXPECT_FALSE(std::getline(lines, line));
}

TEST_F(OciTest, AProgramThatIsNotThereFailsTheCreate) {
  config["process"]["args"] = {"nonsense"};
  EXPECT_THAT(Create().err, HasSubstr("exec: \"nonsense\": executable file not found in $PATH"));
  config["process"]["args"] = {"/bin/nonsense"};
  EXPECT_THAT(Create().err, HasSubstr("exec: \"/bin/nonsense\": No such file or directory"));
  Spill(InRoot("bin/text"), "#!/bin/sh\n", 0644);
  config["process"]["args"] = {"/bin/text"};
  EXPECT_THAT(Create().err, HasSubstr("exec: \"/bin/text\": Permission denied"));
  config["process"]["args"] = {"/bin"};
  EXPECT_THAT(Create().err, HasSubstr("Permission denied"));
  EXPECT_EQ(Oci({"list", "-q"}).out, "");
}

TEST_F(OciTest, AProgramThatCannotRunAfterAllFailsTheStart) {
  Spill(InRoot("bin/garbage"), "\x01\x02\x03 no program", 0755);
  config["process"]["args"] = {"/bin/garbage"};
  ASSERT_EQ(Create().code, 0);
  const Outcome started = Oci({"start", "c"});
  EXPECT_EQ(started.code, 1);
  EXPECT_THAT(started.err, HasSubstr("exec: \"/bin/garbage\": Exec format error"));
  AwaitEnd();
  EXPECT_EQ(StatusOf(), "stopped");
}

TEST_F(OciTest, APausedContainerStandsStill) {
  StartSleeper();
  EXPECT_THAT(Oci({"resume", "c"}).err, HasSubstr("container is not paused"));
  EXPECT_EQ(Oci({"pause", "c"}).code, 0);
  EXPECT_EQ(StatusOf(), "paused");
  EXPECT_THAT(Slurp(GroupDirectory() + "/cgroup.events"), HasSubstr("frozen 1"));
  const Outcome refused = Oci({"exec", "c", "true"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("cannot exec in a paused container"));
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto waits = Begin({"exec", "--ignore-paused", "c", "sh", "-c", "exit 6"}, null.get(), null.get(), null.get());
  ASSERT_OK(waits);
  EXPECT_FALSE(waits->pidfd.WaitExited(100));
  EXPECT_EQ(Oci({"resume", "c"}).code, 0);
  EXPECT_EQ(*Reap(waits->pidfd), 6);
  EXPECT_EQ(StatusOf(), "running");
  EXPECT_EQ(Oci({"exec", "c", "true"}).code, 0);
  EXPECT_EQ(Oci({"pause", "c"}).code, 0);
  EXPECT_EQ(Oci({"delete", "--force", "c"}).code, 0) << "also a frozen one";
}

TEST_F(OciTest, UpdateChangesALimitOrSaysWhatTheMachineLacks) {
  StartSleeper();
  const bool limits = Slurp(GroupDirectory() + "/cgroup.controllers").find("pids") != std::string::npos;
  Spill(Path("resources"), R"({"pids": {"limit": 77}})");
  const Outcome updated = Oci({"update", "-r", Path("resources"), "c"});
  if (limits) {
    EXPECT_EQ(updated.code, 0) << updated.err;
    EXPECT_EQ(Slurp(GroupDirectory() + "/pids.max"), "77\n");
    EXPECT_EQ(Oci({"update", "--memory", "64m", "c"}).code, 0);
    EXPECT_EQ(Slurp(GroupDirectory() + "/memory.max"), std::to_string(64 << 20) + "\n");
  } else {
    EXPECT_EQ(updated.code, 1);
    EXPECT_THAT(updated.err, ::testing::AllOf(HasSubstr("update"), HasSubstr("pids")));
    EXPECT_EQ(Oci({"--missing-controllers", "warn", "update", "-r", Path("resources"), "c"}).code, 0);
  }
  EXPECT_EQ(Oci({"update", "--memory", "many", "c"}).code, 1);
  Spill(Path("resources"), R"({"pids": {"limit": "77"}})");
  EXPECT_EQ(Oci({"update", "-r", Path("resources"), "c"}).code, 1);
}

TEST_F(OciTest, EventsGivesStatistics) {
  StartSleeper();
  const Outcome once = Oci({"events", "--stats", "c"});
  ASSERT_EQ(once.code, 0) << once.err;
  const Json event = Json::parse(once.out);
  EXPECT_EQ(event.at("type"), "stats");
  EXPECT_EQ(event.at("id"), "c");
  EXPECT_TRUE(event.at("data").at("cpu").at("usage").contains("total"));
}

TEST_F(OciTest, SpecWritesABundleThatRunsAndNeverReplacesOne) {
  EXPECT_EQ(Oci({"spec", "-b", Path("bundle")}).code, 0);
  const std::string written = Slurp(Path("bundle/config.json"));
  EXPECT_THAT(Oci({"spec", "-b", Path("bundle")}).err, HasSubstr("exists already"));
  config = Json::parse(written);
  config["process"]["terminal"] = false;
  config["linux"]["cgroupsPath"] = group();
  const Outcome run = RunScript("hostname; touch /x");
  EXPECT_EQ(run.out, "fermata\n");
  EXPECT_THAT(run.err, HasSubstr("Read-only file system"));
}

TEST_F(OciTest, FeaturesNameWhatThereIs) {
  const Json features = Json::parse(Oci({"features"}).out);
  EXPECT_EQ(features.at("linux").at("intelRdt").at("enabled"), false);
  EXPECT_THAT(features.at("linux").at("capabilities"), ::testing::Contains("CAP_SYS_ADMIN"));
  EXPECT_THAT(features.at("mountOptions"), ::testing::Contains("rro"));
  EXPECT_EQ(features.at("hooks").size(), 6U);
}

TEST_F(OciTest, WhatIsNotSupportedIsRefusedByName) {
  WriteConfig();
  EXPECT_THAT(Oci({"--systemd-cgroup", "create", "-b", Path("bundle"), "c"}).err, HasSubstr("--systemd-cgroup"));
  EXPECT_THAT(Create({"--no-pivot"}).err, HasSubstr("--no-pivot"));
  config["linux"]["cgroupsPath"] = "user.slice:libpod:c";
  EXPECT_THAT(Create().err, HasSubstr("is for systemd"));
  config["linux"]["cgroupsPath"] = group();
  config["linux"]["intelRdt"]["closID"] = "x";
  EXPECT_THAT(Create().err, HasSubstr("linux.intelRdt"));
}

}  // namespace
}  // namespace fermata::testing
