// exec: one more process in a container.
#include <fcntl.h>
#include <sys/mman.h>

#include "runtime/base/pidfd.h"
#include "tests/oci/oci_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

using OciExec = OciTest;

TEST_F(OciExec, TheProcessRunsInTheContainerAndItsCodeComesBack) {
  StartSleeper();
  EXPECT_EQ(Oci({"exec", "c", "hostname"}).out, "oci-test\n");
  EXPECT_EQ(Oci({"exec", "c", "sh", "-c", "exit 9"}).code, 9);
  EXPECT_EQ(Oci({"exec", "c", "sh", "-c", "kill -KILL $$"}).code, 128 + 9);
  EXPECT_EQ(Oci({"exec", "c", "sh", "-c", "echo err >&2"}).err, "err\n");
  EXPECT_EQ(Oci({"exec", "c", "ls", "-d", "/"}).out, "/\n") << "options after the program are its own";
  const std::string in_group = Oci({"exec", "c", "cat", "/proc/self/cgroup"}).out;
  EXPECT_THAT(in_group, HasSubstr("0::/\n"));
  for (const char* kind : {"pid", "net", "ipc", "uts", "mnt", "cgroup"}) {
    const std::string file = std::string("/ns/") + kind;
    EXPECT_EQ(Oci({"exec", "c", "readlink", "/proc/self" + file}).out,
              Oci({"exec", "c", "readlink", "/proc/1" + file}).out);
  }
}

TEST_F(OciExec, DirectoryEnvironmentUserAndCapabilitiesAreAsAskedFor) {
  StartSleeper();
  EXPECT_EQ(Oci({"exec", "--cwd", "/tmp", "c", "pwd"}).out, "/tmp\n");
  EXPECT_EQ(Oci({"exec", "-e", "A=b", "-e", "C=d", "c", "sh", "-c", "echo $A$C$HOME"}).out, "bd/root\n");
  EXPECT_EQ(Oci({"exec", "-u", "1000:1000", "-g", "2000", "c", "id"}).out,
            "uid=1000(user) gid=1000(user) groups=2000(extra)\n");
  EXPECT_THAT(Oci({"exec", "-u", "name", "c", "id"}).err, HasSubstr("is not UID or UID:GID"));
  const std::string status = Oci({"exec", "--no-new-privs", "-c", "CAP_NET_RAW", "c", "cat", "/proc/self/status"}).out;
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(status, HasSubstr("CapEff:\t00000000080020e1"));
  EXPECT_THAT(Oci({"exec", "-c", "CAP_X", "c", "id"}).err, HasSubstr("unknown capability CAP_X"));
}

TEST_F(OciExec, WithoutATerminalTheProcessLeadsASessionOfItsOwn) {
  StartSleeper();
  // fields 1 pid, 6 session
  EXPECT_EQ(Oci({"exec", "c", "sh", "-c", "set -- $(cat /proc/$$/stat); test $1 = $6 && echo leads"}).out, "leads\n");
}

TEST_F(OciExec, DetachedItGoesOnAndThePidFileNamesIt) {
  StartSleeper();
  ASSERT_EQ(Oci({"exec", "-d", "--pid-file", Path("pid"), "c", "sleep", "1000"}).code, 0);
  const std::string pid = Slurp(Path("pid"));
  EXPECT_THAT(Slurp("/proc/" + pid + "/cmdline"), HasSubstr("sleep"));
  EXPECT_EQ(Json::parse(Oci({"ps", "-f", "json", "c"}).out).size(), 2U);
}

TEST_F(OciExec, AProcessFileSaysItAll) {
  StartSleeper();
  Spill(Path("process"), R"({"args": ["sh", "-c", "id -u; pwd; echo $A"], "cwd": "/tmp", "env": ["PATH=/bin", "A=x"],
                            "user": {"uid": 7, "gid": 8}})");
  const Outcome outcome = Oci({"exec", "--process", Path("process"), "c"});
  EXPECT_EQ(outcome.out, "7\n/tmp\nx\n") << outcome.err;
  Spill(Path("process"), R"({"args": []})");
  EXPECT_EQ(Oci({"exec", "--process", Path("process"), "c"}).code, 1);
  EXPECT_EQ(Oci({"exec", "--process", Path("missing"), "c"}).code, 1);
}

TEST_F(OciExec, PreservedDescriptorsReachIt) {
  StartSleeper();
  const UniqueFd file(::memfd_create("file", MFD_CLOEXEC));
  EXPECT_EQ(Oci({"exec", "--preserve-fds", "1", "c", "sh", "-c", "echo x >&3"}, {file.get()}).code, 0);
  EXPECT_EQ(Slurp("/proc/self/fd/" + std::to_string(file.get())), "x\n");
}

TEST_F(OciExec, FailuresAreSaidInTheWordsThatCallersLookFor) {
  StartSleeper();
  EXPECT_THAT(Oci({"exec", "c", "nonsense"}).err, HasSubstr("exec: \"nonsense\": executable file not found in $PATH"));
  EXPECT_THAT(Oci({"exec", "c"}).err, HasSubstr("no command given"));
  EXPECT_THAT(Oci({"exec", "nobody", "true"}).err, HasSubstr("container nobody does not exist"));
  EXPECT_EQ(Oci({"kill", "c", "KILL"}).code, 0);
  AwaitEnd();
  EXPECT_THAT(Oci({"exec", "c", "true"}).err, HasSubstr("cannot exec in a stopped container"));
}

TEST_F(OciExec, ItEntersACreatedContainerThatHasNotStarted) {
  SetScript("sleep 1000");
  ASSERT_EQ(Create().code, 0);
  EXPECT_EQ(Oci({"exec", "c", "hostname"}).out, "oci-test\n");
  EXPECT_EQ(StatusOf(), "created");
}

TEST_F(OciExec, WithPtraceInTheContainerItIsEnteredInTwoStages) {
  for (const char* set : {"bounding", "effective", "permitted"}) {
    config["process"]["capabilities"][set].push_back("CAP_SYS_PTRACE");
  }
  StartSleeper();
  const Outcome outcome = Oci({"exec", "c", "sh", "-c", "echo $(hostname) $(readlink /proc/self/ns/pid); exit 3"});
  EXPECT_EQ(outcome.code, 3) << outcome.err;
  EXPECT_EQ(outcome.out, "oci-test " + Oci({"exec", "c", "readlink", "/proc/1/ns/pid"}).out);
  EXPECT_EQ(Oci({"exec", "c", "sh", "-c", "set -- $(cat /proc/$$/stat); test $1 = $6 && echo leads"}).out, "leads\n");
}

}  // namespace
}  // namespace fermata::testing
