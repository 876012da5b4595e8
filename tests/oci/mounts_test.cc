// Mounts, devices, and what is hidden of them.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/oci/oci_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;

class OciMounts : public OciTest {
 protected:
  void TearDown() override {
    for (auto mount = mounted_.rbegin(); mount != mounted_.rend(); ++mount) {
      EXPECT_EQ(::umount2(mount->c_str(), MNT_DETACH), 0) << *mount;
    }
    OciTest::TearDown();
  }
  // A tmpfs of the host's, for as long as the test runs.
  std::string HostTmpfs(const std::string& path) {
    std::filesystem::create_directories(path);
    EXPECT_EQ(::mount("tmpfs", path.c_str(), "tmpfs", 0, nullptr), 0);
    EXPECT_EQ(::mount(nullptr, path.c_str(), nullptr, MS_PRIVATE, nullptr), 0);
    mounted_.push_back(path);
    return path;
  }
  void AddMount(const std::string& destination, const std::string& type, const std::string& source,
                const Json& options) {
    config["mounts"].push_back(
        {{"destination", destination}, {"type", type}, {"source", source}, {"options", options}});
  }

 private:
  std::vector<std::string> mounted_;
};

// On the disk of the bundle: a tmpfs maps ids since Linux 6.3 only.
TEST_F(OciMounts, AnIdmappedBindShowsOtherOwners) {
  const std::string source = Path("source");
  std::filesystem::create_directory(source);
  Spill(source + "/file", "x");
  ASSERT_EQ(::chown((source + "/file").c_str(), 1000, 1000), 0);
  AddMount("/mapped", "bind", source, {"bind", "idmap"});
  const Json map = {{{"containerID", 1000}, {"hostID", 0}, {"size", 1}}};
  config["mounts"].back()["uidMappings"] = map;
  config["mounts"].back()["gidMappings"] = map;
  AddMount("/plain", "bind", source, {"bind"});
  const Outcome run = RunScript("stat -c '%u %g' /mapped/file /plain/file");
  EXPECT_EQ(run.out, "0 0\n1000 1000\n") << run.err;
}

TEST_F(OciMounts, WithoutMappingsAnIdmappedBindHasTheContainers) {
  const std::string source = Path("source");
  std::filesystem::create_directory(source);
  Spill(source + "/file", "x");
  AddMount("/mapped", "bind", source, {"bind", "idmap"});
  EXPECT_THAT(Create().err, HasSubstr("needs a container with a user namespace"));
  const Json map = {{{"containerID", 0}, {"hostID", 100'000}, {"size", 65536}}};
  config["linux"]["namespaces"].push_back({{"type", "user"}});
  config["linux"]["uidMappings"] = map;
  config["linux"]["gidMappings"] = map;
  ASSERT_EQ(::chmod(Path("").c_str(), 0755), 0);
  ASSERT_EQ(::chown(InRoot("").c_str(), 100'000, 100'000), 0);
  const Outcome run = RunScript("stat -c %u /mapped/file");
  EXPECT_EQ(run.out, "0\n") << run.err;
}

TEST_F(OciMounts, RecursiveAttributesReachWhatIsMountedBelow) {
  const std::string source = HostTmpfs(Path("source"));
  HostTmpfs(source + "/below");
  AddMount("/all", "bind", source, {"rbind", "rro"});
  AddMount("/top", "bind", source, {"rbind", "ro"});
  AddMount("/noexec", "bind", source, {"rbind", "rnoexec", "rnosuid", "rnodev"});
  const Outcome run = RunScript(
      "touch /all/x; touch /all/below/x; touch /top/x; touch /top/below/y && echo written; "
      "grep ' /noexec/below ' /proc/self/mounts");
  EXPECT_THAT(run.err, HasSubstr("/all/x: Read-only"));
  EXPECT_THAT(run.err, HasSubstr("/all/below/x: Read-only"));
  EXPECT_THAT(run.err, HasSubstr("/top/x: Read-only"));
  EXPECT_THAT(run.out, HasSubstr("written\n"));
  EXPECT_THAT(run.out, HasSubstr("rw,nosuid,nodev,noexec"));
}

TEST_F(OciMounts, TmpcopyupTakesOwnersModesAndLinksAndNothingOfMounts) {
  const std::string data = InRoot("data");
  std::filesystem::create_directories(data + "/directory/mounted");
  Spill(data + "/file", "text", 0640);
  ASSERT_EQ(::chown((data + "/file").c_str(), 7, 8), 0);
  ASSERT_EQ(::chmod(data.c_str(), 0711), 0);
  std::filesystem::create_symlink("file", data + "/link");
  Spill(data + "/set", "x", 04755);
  const std::string secret = HostTmpfs(data + "/directory/mounted");
  Spill(secret + "/secret", "x");
  AddMount("/data", "tmpfs", "tmpfs", {"tmpcopyup"});
  const Outcome run = RunScript(
      "cd /data; stat -c '%a %u %g %n' . file set directory; readlink link; cat set; echo; ls directory/mounted; "
      "touch new");
  EXPECT_EQ(run.out, "711 0 0 .\n640 7 8 file\n4755 0 0 set\n755 0 0 directory\nfile\nx\n") << run.err;
  EXPECT_FALSE(std::filesystem::exists(data + "/new"));
}

TEST_F(OciMounts, DevicesAreMadeInAndOutsideOfDev) {
  config["linux"]["devices"] = R"([
    {"path": "/dev/deep/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 384, "uid": 3, "gid": 4},
    {"path": "/srv/pipe", "type": "p", "fileMode": 420}, {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 438}])"_json;
  const Outcome run = RunScript(
      "stat -c '%F %t:%T %a %u %g' /dev/deep/zero; stat -c %F /srv/pipe; head -c 3 /dev/zero | wc -c; echo x "
      ">/dev/null; "
      "stat -c '%a %t:%T %n' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty; readlink /dev/fd; "
      "readlink "
      "/dev/ptmx");
  EXPECT_EQ(run.out,
            "character special file 1:5 600 3 4\nfifo\n3\n666 1:3 /dev/null\n666 1:5 /dev/zero\n666 1:7 /dev/full\n"
            "666 1:8 /dev/random\n666 1:9 /dev/urandom\n666 5:0 /dev/tty\n/proc/self/fd\npts/ptmx\n")
      << run.err;
}

TEST_F(OciMounts, DevicesThatNoRuleAllowsStayClosed) {
  config["linux"]["resources"]["devices"] = {{{"allow", false}, {"access", "rwm"}}};
  const Outcome run = RunScript(
      "mknod /tmp/kmsg c 1 11; cat /tmp/kmsg; mknod /tmp/null c 1 3 && echo made; echo x >/dev/null && echo written");
  EXPECT_EQ(run.out, "made\nwritten\n") << run.err;
  EXPECT_THAT(run.err, HasSubstr("Operation not permitted"));
}

TEST_F(OciMounts, PropagationOfTheRootIsAsAskedFor) {
  const auto root_line = [&](const char* propagation) {
    config["linux"]["rootfsPropagation"] = propagation;
    return RunScript("grep ' / / \\| [^ ]* / ' /proc/self/mountinfo | head -n 1").out;
  };
  EXPECT_THAT(root_line("shared"), HasSubstr(" shared:"));
  EXPECT_THAT(root_line("private"), ::testing::Not(HasSubstr("shared:")));
  EXPECT_THAT(root_line("unbindable"), HasSubstr(" unbindable"));
  config["linux"]["rootfsPropagation"] = "sideways";
  EXPECT_EQ(Create().code, 1);
}

TEST_F(OciMounts, MaskedPathsAreEmptyAndReadonlyPathsStayAsTheyAre) {
  Spill(InRoot("etc/secret"), "x");
  std::filesystem::create_directories(InRoot("hidden/below"));
  Spill(InRoot("hidden/below/file"), "x");
  Spill(InRoot("etc/fixed"), "x");
  config["linux"]["maskedPaths"] = {"/etc/secret", "/hidden", "/proc/kcore", "/not/there"};
  config["linux"]["readonlyPaths"] = {"/etc/fixed", "/proc/sys", "/not/there"};
  const Outcome run = RunScript(
      "cat /etc/secret; ls /hidden; echo y >/etc/fixed; echo 1 >/proc/sys/kernel/shmmni; touch /etc/new && echo new");
  EXPECT_EQ(run.out, "new\n");
  EXPECT_THAT(run.err, HasSubstr("/etc/fixed: Read-only"));
  EXPECT_THAT(run.err, HasSubstr("/proc/sys/kernel/shmmni: Read-only"));
}

TEST_F(OciMounts, AReadonlyRootLeavesOtherMountsWritable) {
  config["root"]["readonly"] = true;
  AddMount("/scratch", "tmpfs", "tmpfs", Json::array());
  const Outcome run = RunScript("touch /x; touch /scratch/x && echo scratch; pwd");
  EXPECT_EQ(run.out, "scratch\n/\n");
  EXPECT_THAT(run.err, HasSubstr("/x: Read-only"));
}

TEST_F(OciMounts, LinksOfTheImageLeadNowhereElse) {
  std::filesystem::create_symlink("/../../../../../" + Path("outside"), InRoot("escape"));
  std::filesystem::create_directory(Path("outside"));
  AddMount("/escape/file", "bind", "/etc/hostname", {"bind"});
  EXPECT_EQ(RunScript("true").code, 0);
  EXPECT_TRUE(std::filesystem::is_empty(Path("outside")));
}

TEST_F(OciMounts, RelativeSourcesAreOfTheBundle) {
  Spill(Path("bundle/here"), "text");
  AddMount("/here", "bind", "here", {"bind", "ro"});
  EXPECT_EQ(RunScript("cat /here").out, "text");
}

}  // namespace
}  // namespace fermata::testing
