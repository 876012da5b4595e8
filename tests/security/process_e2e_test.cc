// Section 1 of the threat table, by requests to the daemon.
#include <sys/inotify.h>

#include <future>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {
namespace {

class ProcessRows : public DaemonTest {
 protected:
  v1::ContainerConfig Script(const std::string& script) {
    return Cri::ContainerConfig("c" + std::to_string(serial_++), {"sh", "-c", script});
  }
  static v1::LinuxContainerSecurityContext& Security(v1::ContainerConfig& config) {
    return *config.mutable_linux()->mutable_security_context();
  }
  // What a container that goes on has printed, as soon as it has.
  void ExpectLog(const std::string& id, const std::string& expected) {
    const std::string path = cri().Status(id).log_path();
    (void)WaitUntil([&] { return JoinedLog(path) == expected; });
    EXPECT_EQ(JoinedLog(path), expected);
  }
  int serial_ = 0;
};

// The processes of an instance: those that say so by their control group.
std::vector<std::string> ProcessesOf(const Daemon& daemon) {
  const std::string name = std::filesystem::path(daemon.cgroup_root()).filename();
  std::vector<std::string> found = {std::to_string(daemon.pid())};
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") == std::string::npos &&
        ReadText(entry.path() / "cgroup").find(name) != std::string::npos) {
      found.push_back(pid);
    }
  }
  return found;
}

TEST_F(ProcessRows, R03EveryDescriptorOfTheDaemonAndItsHelpersClosesOnExec) {
  const std::string pod = cri().RunPod("fds");
  const std::string id = cri().Run(pod, Script("sleep 1000"));
  const auto processes = ProcessesOf(daemon());
  EXPECT_GE(processes.size(), 4U) << "the daemon, a monitor, pause and the container";
  for (const std::string& pid : processes) {
    const std::string name = ReadText("/proc/" + pid + "/comm");
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + pid + "/fdinfo")) {
      const std::string number = entry.path().filename();
      if (std::stoi(number) < 3) continue;
      std::error_code gone;
      const std::string target = std::filesystem::read_symlink("/proc/" + pid + "/fd/" + number, gone);
      std::istringstream info(ReadText(entry.path()));
      for (std::string line; std::getline(info, line);) {
        if (!line.starts_with("flags:")) continue;
        EXPECT_NE(std::stoul(line.substr(line.find_first_of("01234567")), nullptr, 8) & O_CLOEXEC, 0U)
            << name << number << " " << target;
      }
    }
  }
}

size_t DescriptorsOf(pid_t pid) {
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

TEST_F(ProcessRows, R04FailedRequestsLeaveNoDescriptor) {
  const std::string pod = cri().RunPod("failing");
  using Change = void (*)(v1::ContainerConfig&);
  const Change changes[] = {
      [](v1::ContainerConfig& c) { c.mutable_image()->set_image("localhost/none:1"); },
      [](v1::ContainerConfig& c) { Security(c).set_run_as_username("stranger"); },
      [](v1::ContainerConfig& c) { c.set_working_dir("/proc/self/fd/7"); },
      [](v1::ContainerConfig& c) { c.set_command(0, "no-such-command"); },
      [](v1::ContainerConfig& c) { c.set_log_path("../x"); },
      [](v1::ContainerConfig& c) {
        c.add_mounts()->set_host_path("/etc/passwd/x");
        c.mutable_mounts(0)->set_container_path("/mnt");
      },
      [](v1::ContainerConfig& c) {
        c.add_mounts()->set_host_path("/etc/passwd");
        c.mutable_mounts(0)->set_container_path("/bin");
      },
      [](v1::ContainerConfig& c) { Security(c).mutable_capabilities()->add_add_capabilities("FLY"); },
      [](v1::ContainerConfig& c) {
        Security(c).mutable_seccomp()->set_profile_type(v1::SecurityProfile::Localhost);
        Security(c).mutable_seccomp()->set_localhost_ref("/no/such");
      },
      [](v1::ContainerConfig& c) {
        c.add_devices()->set_host_path("/dev/no-such");
        c.mutable_devices(0)->set_container_path("/dev/x");
        c.mutable_devices(0)->set_permissions("r");
      },
  };
  const auto fail_all = [&] {
    for (const Change& change : changes) {
      v1::ContainerConfig config = Script("true");
      change(config);
      std::string id;
      if (!cri().TryCreate(pod, config, &id).ok()) continue;
      EXPECT_FALSE(cri().TryStart(id).ok());
      EXPECT_TRUE(Ok(cri().Remove(id)));
    }
  };
  fail_all();
  const size_t before = DescriptorsOf(daemon().pid());
  const int rounds = std::getenv("FERMATA_FULL") == nullptr ? 5 : 100;
  for (int i = 0; i < rounds; ++i) fail_all();
  EXPECT_TRUE(WaitUntil([&] { return DescriptorsOf(daemon().pid()) <= before + 2; })) << before;
}

// What the five sets of capabilities are: of the first process, and of an exec.
TEST_F(ProcessRows, R05R06TwelveCombinationsOfCapabilitiesMatchTheirTable) {
  struct Row {
    bool root;
    std::vector<const char*> drop, add, ambient;
    const char* golden;  // Inh Prm Eff Bnd Amb
  };
  const Row rows[] = {
      {true, {}, {}, {}, "0 a80425fb a80425fb a80425fb 0"},
      {true, {"ALL"}, {"NET_ADMIN"}, {}, "0 1000 1000 1000 0"},
      {true, {}, {}, {"NET_RAW"}, "2000 a80425fb a80425fb a80425fb 2000"},
      {false, {}, {}, {}, "0 0 0 a80425fb 0"},
      {false, {"ALL"}, {"NET_ADMIN"}, {}, "0 0 0 1000 0"},
      {false, {}, {}, {"NET_RAW"}, "2000 2000 2000 a80425fb 2000"},
  };
  const std::string pod = cri().RunPod("capabilities");
  const std::string print =
      "busybox awk '/^Cap/ {sub(/^0+/, \"\", $2); printf \"%s%s\", s, $2 == \"\" ? 0 : $2; s = \" \"}' "
      "/proc/self/status";
  for (const Row& row : rows) {
    v1::ContainerConfig config = Script(print + "; echo; exec sleep 1000");
    if (!row.root) Security(config).mutable_run_as_user()->set_value(1000);
    auto& capabilities = *Security(config).mutable_capabilities();
    for (const char* name : row.drop) capabilities.add_drop_capabilities(name);
    for (const char* name : row.add) capabilities.add_add_capabilities(name);
    for (const char* name : row.ambient) capabilities.add_add_ambient_capabilities(name);
    const std::string id = cri().Run(pod, config);
    EXPECT_EQ(cri().Shell(id, print), row.golden) << "exec";
    ExpectLog(id, std::string(row.golden) + "\n");
  }
}

TEST_F(ProcessRows, R08TheGroupThatAFileForbidsCannotReadIt) {
  TemporaryDirectory directory;
  WriteText(directory / "file", "for others\n");
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod((directory / "file").c_str(), 0604), 0);
  const std::string pod = cri().RunPod("groups");
  struct Row {
    bool strict;
    std::vector<int64_t> asked;
    gid_t forbidden;
    const char* groups;
  };
  for (const Row& row :
       {Row{false, {}, 1000, "1000 2000"}, Row{true, {}, 1000, "1000"}, Row{false, {3000}, 3000, "1000 2000 3000"},
        Row{true, {3000}, 3000, "1000 3000"}, Row{false, {}, 2000, "1000 2000"}}) {
    ASSERT_EQ(::chown((directory / "file").c_str(), 0, row.forbidden), 0);
    v1::ContainerConfig config = Script("id -G; cat /mnt/file 2>/dev/null");
    Security(config).mutable_run_as_user()->set_value(1000);
    for (const int64_t group : row.asked) Security(config).add_supplemental_groups(group);
    if (row.strict) Security(config).set_supplemental_groups_policy(v1::Strict);
    config.add_mounts()->set_host_path(directory.path());
    config.mutable_mounts(0)->set_container_path("/mnt");
    EXPECT_EQ(cri().RunToEnd(pod, config).out, std::string(row.groups) + "\n");
  }
}

TEST_F(ProcessRows, R14FilesForTheLoaderInAnImageAreOpenedByNobodyOutside) {
  auto image = BusyboxImage("localhost/planted:1");
  const char* const planted[] = {"etc/ld.so.preload", "etc/nsswitch.conf", "lib/x86_64-linux-gnu/libnss_files.so.2",
                                 "usr/lib/x86_64-linux-gnu/gconv/gconv-modules"};
  for (const char* name : planted) image.layers.front().entries.push_back(overlay::testing::File(name, "planted"));
  ASSERT_TRUE(daemon().Import(overlay::testing::OciArchiveOf({image})));
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  std::string one;
  int watched = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(daemon().data_dir())) {
    for (const char* name : planted) {
      if (!entry.path().string().ends_with(std::string("/") + name)) continue;
      one = entry.path();
      ASSERT_GE(::inotify_add_watch(watch.get(), one.c_str(), IN_OPEN), 0);
      ++watched;
    }
  }
  EXPECT_EQ(watched, 4);
  v1::ContainerConfig config = Script("sleep 1000");
  config.mutable_image()->set_image("localhost/planted:1");
  Security(config).set_run_as_username("user");
  const std::string id = cri().Run(cri().RunPod("planted"), config);
  cri().Shell(id, "true");
  (void)cri().Status(id);
  char events[4096];
  EXPECT_LT(::read(watch.get(), events, sizeof events), 0);
  (void)ReadText(one);
  EXPECT_GT(::read(watch.get(), events, sizeof events), 0) << "the watch works";
}

TEST_F(ProcessRows, S09CoreDumpsAreOffForContainersAndExecs) {
  const std::string id = cri().Run(cri().RunPod("core"), Script("ulimit -c; ulimit -Hc; exec sleep 1000"));
  EXPECT_EQ(cri().Shell(id, "ulimit -c; ulimit -Hc"), "0\n0");
  ExpectLog(id, "0\n0\n");
}

class EnvironmentRows : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!CanRun()) GTEST_SKIP() << "needs root and a cgroup2 mount";
    for (int i = 0; i < 50; ++i)
      daemon_.environment.push_back("FERMATA_MARKER_" + std::to_string(i) + "=of-the-daemon");
    ASSERT_TRUE(daemon_.Start());
    ASSERT_TRUE(daemon_.Import(BusyboxArchive()));
  }
  void TearDown() override { daemon_.End(); }

  TemporaryDirectory directory_;
  Daemon daemon_{directory_ / "d"};
};

TEST_F(EnvironmentRows, R12NothingOfTheDaemonsEnvironmentReachesOthersAndFiftyAtOnceAreNotMixed) {
  Cri cri(daemon_);
  const std::string pod = cri.RunPod("environment");
  std::vector<std::future<std::string>> runs;
  for (int i = 0; i < 50; ++i) {
    runs.push_back(std::async(std::launch::async, [&, i] {
      v1::ContainerConfig config = Cri::ContainerConfig("c" + std::to_string(i), {"env"});
      config.add_envs()->set_key("NUMBER");
      config.mutable_envs(0)->set_value(std::to_string(i));
      return Cri(daemon_).RunToEnd(pod, config).out;
    }));
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(runs[static_cast<size_t>(i)].get(),
              "PATH=/bin\nHOSTNAME=environment\nHOME=/root\nFROM_IMAGE=yes\nNUMBER=" + std::to_string(i) + "\n");
  }
  (void)cri.Run(pod, Cri::ContainerConfig("runs", {"sleep", "1000"}));
  const auto processes = ProcessesOf(daemon_);
  for (const std::string& pid : processes) {
    if (pid == std::to_string(daemon_.pid())) continue;
    EXPECT_EQ(ReadText("/proc/" + pid + "/environ").find("of-the-daemon"), std::string::npos)
        << ReadText("/proc/" + pid + "/comm");
  }
}

}  // namespace
}  // namespace fermata::testing
