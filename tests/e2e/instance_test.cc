// Daemons and their directories: two of them, an old socket, the configuration.
#include <cctype>
#include <csignal>
#include <sstream>

#include "tests/e2e/cri_client.h"
#include "tests/fixtures/busybox_image.h"

namespace fermata::testing {
namespace {

class InstanceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!CanRun()) GTEST_SKIP() << "needs root and a cgroup2 mount";
  }
  // What fermatad says of a configuration file with this text.
  ProgramResult RunWith(const std::string& config) {
    WriteText(directory_ / "bad.toml", config);
    Program program(directory_.path(), {BuiltProgram("fermatad"), "--config", directory_ / "bad.toml", "--data-dir",
                                        directory_ / "data", "--run-dir", directory_ / "run"});
    return program.Wait();
  }
  TemporaryDirectory directory_;
};

TEST_F(InstanceTest, ASecondDaemonOnTheSameDirectoriesNamesTheFirst) {
  Daemon daemon(directory_ / "d");
  ASSERT_TRUE(daemon.Start());
  const ProgramResult second = Program(directory_.path(), daemon.CommandLine()).Wait();
  EXPECT_EQ(second.code, 1);
  EXPECT_NE(second.err.find("pid " + std::to_string(daemon.pid())), std::string::npos) << second.err;
  auto other_data = daemon.CommandLine();
  for (std::string& word : other_data) {
    if (word == daemon.data_dir()) word = directory_ / "other";
  }
  const ProgramResult same_run = Program(directory_.path(), other_data).Wait();
  EXPECT_EQ(same_run.code, 1);
  EXPECT_NE(same_run.err.find("pid " + std::to_string(daemon.pid())), std::string::npos) << same_run.err;
  EXPECT_NE(Cri(daemon).RunPod("still-works"), "");
  daemon.End();
}

TEST_F(InstanceTest, TwoInstancesSideBySideDoNotMeet) {
  Daemon one(directory_ / "one");
  Daemon two(directory_ / "two");
  ASSERT_TRUE(one.Start());
  ASSERT_TRUE(two.Start());
  ASSERT_TRUE(one.Import(BusyboxArchive()));
  const std::string pod = Cri(one).RunPod("same-name");
  const std::string id = Cri(one).Run(pod, Cri::ContainerConfig("c", {"sleep", "1000"}));
  EXPECT_NE(one.cgroup_root(), two.cgroup_root());
  EXPECT_TRUE(Cri(two).Pods().empty());
  EXPECT_EQ(Cri(two).TryCreate(pod, Cri::ContainerConfig("c", {"true"})).error_code(), grpc::StatusCode::NOT_FOUND);
  const std::string other = Cri(two).RunPod("same-name");
  EXPECT_NE(other, pod);
  EXPECT_TRUE(
      Is(Cri(two).TryCreate(other, Cri::ContainerConfig("c", {"true"})), grpc::StatusCode::NOT_FOUND, kBusyboxImage));
  two.Kill9();  // what it sweeps when it comes back is its own only
  ASSERT_TRUE(two.Restart());
  two.End();
  EXPECT_EQ(Cri(one).Shell(id, "echo alive"), "alive");
  fv1::InfoResponse info;
  ASSERT_TRUE(Ok(Call(*one.system, &fv1::System::Stub::Info, fv1::InfoRequest(), &info)));
  EXPECT_EQ(info.cgroup_root(), one.cgroup_root());
  EXPECT_EQ(info.pid(), one.pid());
  one.End();
}

// The child of `parent` with that name; 0 if there is none.
pid_t ChildNamed(pid_t parent, const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    if (std::isdigit(static_cast<unsigned char>(entry.path().filename().string().front())) == 0) continue;
    std::istringstream stat(ReadText(entry.path() / "stat"));
    pid_t pid = 0, ppid = 0;
    std::string program, state;
    if (stat >> pid >> program >> state >> ppid && ppid == parent && program == "(" + name + ")") return pid;
  }
  return 0;
}

TEST_F(InstanceTest, TheZygoteMayDieAndEndsWithTheDaemon) {
  Daemon daemon(directory_ / "d");
  ASSERT_TRUE(daemon.Start());
  ASSERT_TRUE(daemon.Import(BusyboxArchive()));
  Cri cri(daemon);
  const std::string first = cri.Run(cri.RunPod("first"), Cri::ContainerConfig("c", {"sleep", "1000"}));
  const pid_t zygote = ChildNamed(daemon.pid(), "fermata-zygote");
  ASSERT_GT(zygote, 0);
  ASSERT_EQ(::kill(zygote, SIGKILL), 0);
  const std::string second = cri.Run(cri.RunPod("second"), Cri::ContainerConfig("c", {"sleep", "1000"}));
  EXPECT_EQ(cri.Shell(first, "echo alive"), "alive");
  EXPECT_EQ(cri.Shell(second, "echo alive"), "alive");
  const auto next = Pidfd::Open(ChildNamed(daemon.pid(), "fermata-zygote"));
  ASSERT_OK(next);
  daemon.Kill9();
  EXPECT_TRUE(next->WaitExited(10'000)) << "it outlived a daemon that crashed";
  ASSERT_TRUE(daemon.Restart());
  EXPECT_EQ(cri.Shell(second, "echo alive"), "alive");
  daemon.End();
}

TEST_F(InstanceTest, AStaleSocketIsReplaced) {
  Daemon daemon(directory_ / "d");
  ASSERT_TRUE(daemon.Start());
  daemon.Kill9();
  ASSERT_TRUE(std::filesystem::is_socket(daemon.socket()));
  ASSERT_TRUE(daemon.Restart());
  EXPECT_EQ(std::filesystem::status(daemon.socket()).permissions(), std::filesystem::perms(0600));
  daemon.End();
  EXPECT_FALSE(std::filesystem::exists(daemon.socket()));
}

TEST_F(InstanceTest, AnUnknownKeyIsRefusedWithItsPlace) {
  const ProgramResult result = RunWith("log_level = \"info\"\n\n[cgroup]\nmising_controllers = \"warn\"\n");
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("bad.toml:4"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("cgroup.mising_controllers"), std::string::npos) << result.err;
}

TEST_F(InstanceTest, WhatIsNoConfigurationIsRefusedWithItsPlace) {
  for (const char* text : {"a = b\n", "log_level = 7\n", "[cgroup]\nmissing_controllers = \"maybe\"\n",
                           "log_level = \"loud\"\n", "[network\n"}) {
    const ProgramResult result = RunWith(text);
    EXPECT_EQ(result.code, 2) << text;
    EXPECT_FALSE(result.err.empty());
  }
  EXPECT_NE(RunWith("log_level = 7\n").err.find("bad.toml:1"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "data")) << "nothing was touched";
}

TEST_F(InstanceTest, ASocketPathThatIsTooLongIsRefusedClearly) {
  Daemon daemon(directory_ / std::string(120, 'x'));
  const ProgramResult result = Program(directory_.path(), daemon.CommandLine()).Wait();
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("longer than 103 bytes"), std::string::npos) << result.err;
}

TEST_F(InstanceTest, SettingsOfConfDAndOfTheCommandLineWin) {
  Daemon daemon(directory_ / "d");
  WriteText(daemon / "config.toml",
            "log_level = \"error\"\ndata_dir = \"/nowhere\"\n[cgroup]\nmissing_controllers = \"warn\"\n[network]\npods "
            "= \"none\"\n");
  WriteText(daemon / "conf.d/10.toml", "[cri]\nreject_missing_host_path = true\n");
  ASSERT_TRUE(daemon.Start());
  ASSERT_TRUE(daemon.Import(BusyboxArchive()));
  Cri cri(daemon);
  v1::ContainerConfig config = Cri::ContainerConfig("c", {"true"});
  config.add_mounts()->set_host_path(directory_ / "missing");
  config.mutable_mounts(0)->set_container_path("/mnt");
  const std::string pod = cri.RunPod("strict");
  std::string id;
  grpc::Status status = cri.TryCreate(pod, config, &id);
  if (status.ok()) status = cri.TryStart(id);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.error_message().find(directory_ / "missing"), std::string::npos) << status.error_message();
  EXPECT_FALSE(std::filesystem::exists(directory_ / "missing"));
  daemon.End();
}

}  // namespace
}  // namespace fermata::testing
