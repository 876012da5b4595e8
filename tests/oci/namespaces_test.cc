// Namespaces: made, joined, with mapped ids, clocks of their own, and sysctls.
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/oci/oci_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

class OciNamespaces : public OciTest {
 protected:
  void MapIds(uint32_t first = 100'000) {
    const Json map = {{{"containerID", 0}, {"hostID", first}, {"size", 65536}}};
    config["linux"]["namespaces"].push_back({{"type", "user"}});
    config["linux"]["uidMappings"] = map;
    config["linux"]["gidMappings"] = map;
    // Others than the owner look in.
    EXPECT_EQ(::chmod(Path("").c_str(), 0755), 0);
    EXPECT_EQ(::chown(InRoot("").c_str(), first, first), 0);
    EXPECT_EQ(::chown(InRoot("tmp").c_str(), first, first), 0);
  }
  Json& NamespaceOf(const std::string& type) {
    for (Json& entry : config["linux"]["namespaces"]) {
      if (entry["type"] == type) return entry;
    }
    ADD_FAILURE() << type;
    return config;
  }
  void Drop(const std::string& type) {
    Json kept = Json::array();
    for (const Json& entry : config["linux"]["namespaces"]) {
      if (entry["type"] != type) kept.push_back(entry);
    }
    config["linux"]["namespaces"] = kept;
  }
  void Join(const std::string& type, const std::string& file, const std::string& id = "c") {
    NamespaceOf(type)["path"] = "/proc/" + std::to_string(PidOf(id)) + "/ns/" + file;
  }
  // The second container has a group beside the first.
  void NextGroup() { config["linux"]["cgroupsPath"] = group() + "-2"; }
};

TEST_F(OciNamespaces, InAUserNamespaceRootIsSomebodyElse) {
  MapIds();
  const Outcome run = RunScript(
      "cat /proc/self/uid_map; id -u; echo $$; touch /tmp/mine; "
      "set -- $(cat /proc/$$/stat); test $1 = $6 && echo leads; ls -ln /dev/null; echo x >/dev/null && echo writes");
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, ::testing::MatchesRegex(" +0 +100000 +65536\n0\n1\nleads\n(.*)/dev/null\nwrites\n"));
  struct stat status {};
  ASSERT_EQ(::stat(InRoot("tmp/mine").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 100'000U);
}

TEST_F(OciNamespaces, ExecEntersAUserNamespace) {
  MapIds();
  StartSleeper();
  EXPECT_EQ(Oci({"exec", "c", "id", "-u"}).out, "0\n");
  EXPECT_EQ(Oci({"exec", "-u", "1000", "c", "id", "-u"}).out, "1000\n");
  EXPECT_EQ(Oci({"exec", "c", "readlink", "/proc/self/ns/user"}).out,
            Oci({"exec", "c", "readlink", "/proc/1/ns/user"}).out);
  EXPECT_EQ(Oci({"exec", "-u", "70000", "c", "id"}).code, 1) << "not mapped";
}

TEST_F(OciNamespaces, AUserNamespaceWithTheHostsNetworkSeesTheHostsSysfsReadOnly) {
  MapIds();
  Drop("network");
  const Outcome run = RunScript("readlink /proc/self/ns/net; ls /sys/kernel >/dev/null && echo sees; touch /sys/x");
  EXPECT_EQ(run.out, std::filesystem::read_symlink("/proc/self/ns/net").string() + "\nsees\n") << run.err;
  EXPECT_THAT(run.err, HasSubstr("Read-only file system"));
}

TEST_F(OciNamespaces, AUserNamespaceWithTheHostsCgroupNamespaceSeesTheHostsGroupsReadOnly) {
  MapIds();
  Drop("cgroup");
  config["mounts"].push_back({{"destination", "/sys/fs/cgroup"}, {"type", "cgroup"}, {"source", "cgroup"}});
  const Outcome run = RunScript("ls /sys/fs/cgroup | wc -l; mkdir /sys/fs/cgroup/x");
  EXPECT_GT(std::stoi(run.out), 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("Read-only file system"));
}

TEST_F(OciNamespaces, AUserNamespaceJoinsThePidNamespaceOfAnotherContainer) {
  MapIds();
  StartSleeper();
  Join("pid", "pid");
  Join("user", "user");
  Join("network", "net");
  Join("ipc", "ipc");
  config["linux"].erase("uidMappings");
  config["linux"].erase("gidMappings");
  NextGroup();
  SetScript("for n in pid user net ipc; do readlink /proc/self/ns/$n; done; cat /proc/1/cmdline; id -u");
  WriteConfig();
  const Outcome joined = Oci({"run", "-b", Path("bundle"), "second"});
  std::string expected;
  for (const char* kind : {"pid", "user", "net", "ipc"}) {
    expected += std::filesystem::read_symlink("/proc/" + std::to_string(PidOf()) + "/ns/" + kind).string() + "\n";
  }
  EXPECT_EQ(joined.out, expected + std::string("sleep\0001000\000", 11) + "0\n") << joined.err;
}

TEST_F(OciNamespaces, AJoinedPidNamespaceIsEnteredInTwoStages) {
  StartSleeper();
  Join("pid", "pid");
  Join("ipc", "ipc");
  NextGroup();
  SetScript(
      "readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; set -- $(cat /proc/$$/stat); test $1 = $6 && echo "
      "leads; exit 6");
  WriteConfig();
  const Outcome joined = Oci({"run", "-b", Path("bundle"), "second"});
  EXPECT_EQ(joined.code, 6) << joined.err;
  const std::string proc = "/proc/" + std::to_string(PidOf());
  EXPECT_EQ(joined.out, std::filesystem::read_symlink(proc + "/ns/pid").string() + "\n" +
                            std::filesystem::read_symlink(proc + "/ns/ipc").string() + "\nleads\n");
  EXPECT_EQ(StatusOf(), "running");
}

TEST_F(OciNamespaces, AProcessOfAJoinedPidNamespaceIsCreatedStartedAndEnteredLikeAnyOther) {
  StartSleeper();
  Join("pid", "pid");
  NextGroup();
  StartSleeper("second");
  EXPECT_EQ(StatusOf("second"), "running");
  EXPECT_EQ(Oci({"exec", "second", "hostname"}).out, "oci-test\n");
  EXPECT_EQ(Oci({"kill", "second", "KILL"}).code, 0);
  AwaitEnd("second");
  EXPECT_EQ(StatusOf("second"), "stopped");
  EXPECT_EQ(StatusOf(), "running");
}

TEST_F(OciNamespaces, ATimeNamespaceHasClocksOfItsOwn) {
  config["linux"]["namespaces"].push_back({{"type", "time"}});
  config["linux"]["timeOffsets"]["boottime"] = {{"secs", 1'000'000'000}, {"nanosecs", 0}};
  const Outcome run = RunScript("cat /proc/uptime");
  EXPECT_GE(std::stod(run.out), 1e9) << run.err;
  StartSleeper();
  EXPECT_GE(std::stod(Oci({"exec", "c", "cat", "/proc/uptime"}).out), 1e9);
}

TEST_F(OciNamespaces, SysctlsOfItsOwnNamespacesAreSetAndOthersRefused) {
  config["linux"]["sysctl"] = {
      {"kernel.shmmni", "123"}, {"net.ipv4.ip_forward", "1"}, {"net/ipv4/ip_default_ttl", "33"}};
  const Outcome run = RunScript("cd /proc/sys; cat kernel/shmmni net/ipv4/ip_forward net/ipv4/ip_default_ttl");
  EXPECT_EQ(run.out, "123\n1\n33\n") << run.err;
  config["linux"]["sysctl"] = {{"vm.swappiness", "1"}};
  EXPECT_THAT(Create().err, HasSubstr("\"vm.swappiness\""));
  config["linux"]["sysctl"] = {{"net.ipv4.ip_forward", "1"}};
  Drop("network");
  EXPECT_THAT(Create().err, HasSubstr("host's network namespace"));
}

TEST_F(OciNamespaces, ContradictionsAreRefused) {
  const Json before = config;
  const auto refused = [&](const char* text) {
    const Outcome created = Create();
    EXPECT_EQ(created.code, 1);
    EXPECT_THAT(created.err, HasSubstr(text));
    config = before;
  };
  config["linux"]["namespaces"].push_back({{"type", "pid"}});
  refused("pid is there twice");
  Drop("mount");
  refused("needs a new mount namespace");
  config["linux"]["namespaces"].push_back({{"type", "user"}});
  refused("a new user namespace needs uidMappings");
  Drop("uts");
  refused("need a UTS namespace");
  NamespaceOf("network")["path"] = "/no/such/namespace";
  refused("network namespace: open /no/such/namespace");
  NamespaceOf("network")["path"] = "/proc/self/ns/ipc";
  refused("join namespace: Invalid argument");
}

}  // namespace
}  // namespace fermata::testing
