// Section 1 of the threat table: the runtime's own program, descriptors, directories and environment.
#include <sys/inotify.h>

#include "runtime/base/spawn.h"
#include "tests/security/security_fixture.h"

namespace fermata::testing {
namespace {

class ProcessSecurity : public SecurityTest {
 protected:
  // A container that looks at everybody who enters, while containers and execs do; its report.
  std::string Watch(const std::vector<std::string>& capabilities, bool two_stages) {
    const auto prepared = [&](std::vector<std::string> arguments) {
      auto launch = Launch(std::move(arguments));
      launch.spec.process.capabilities = {capabilities, capabilities, {}, capabilities, {}};
      launch.two_stages = two_stages;
      return launch;
    };
    std::filesystem::copy_file(FERMATA_PROBES "/exe_attacker", root_ + "/bin/attacker");
    StartPause();
    EXPECT_OK(Start("attacker", prepared({"attacker", directory_.path()})));
    while (Log("attacker").find("ready") == std::string::npos) ::usleep(1000);
    EXPECT_OK(Start("target", prepared({"sleep", "1000"})));
    for (int i = 0; i < Count(60, 1000); ++i) {
      EXPECT_OK(Exec("target", {"true"}, 10'000, two_stages));
      const std::string id = "victim" + std::to_string(i);
      if (i % 4 == 0 && Start(id, prepared({"true"}))) (void)WaitExit(id);
    }
    EXPECT_OK(monitor_->Signal("attacker", SIGTERM));
    (void)WaitExit("attacker");
    return Log("attacker");
  }
};

TEST_F(ProcessSecurity, R01R02AnOrdinaryContainerSeesAndOpensNothingOfThoseWhoEnter) {
  const std::string log = Watch({"CAP_CHOWN", "CAP_DAC_OVERRIDE"}, false);
  EXPECT_NE(log.find(" written 0 host 0\n"), std::string::npos) << log;
  EXPECT_EQ(log.find("looked 0 "), std::string::npos) << log;
}

TEST_F(ProcessSecurity, R01R02ATracerSeesAndOpensNothingOfThoseWhoEnter) {
  const std::string log = Watch({"CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"}, true);
  EXPECT_NE(log.find(" written 0 host 0\n"), std::string::npos) << log;
  EXPECT_EQ(log.find("looked 0 "), std::string::npos) << log;
}

TEST_F(ProcessSecurity, R01TheProgramsOfTheHostAreSealedMemoryFiles) {
  StartPause();
  std::error_code ignored;
  const std::string link = std::filesystem::read_symlink("/proc/" + std::to_string(monitor_->pid()) + "/exe", ignored);
  EXPECT_TRUE(link.starts_with("/memfd:fermata-monitor")) << link;
  const std::string pause = Run({"sh", "-c", "readlink /proc/1/exe; (echo x > /proc/1/exe) 2>&1"});
  EXPECT_EQ(pause.find("host"), std::string::npos) << pause;
  EXPECT_NE(pause.find("can't create"), std::string::npos) << pause;
  EXPECT_NE(RunLaunch(Launch({"/proc/self/exe"})).find("must not lie in /proc/self"), std::string::npos);
}

TEST_F(ProcessSecurity, R03DescriptorsOfTheFirstProcessAreTheThreeStandardOnes) {
  StartPause();
  ASSERT_OK(Start("target", Launch({"sleep", "1000"})));
  for (const bool two_stages : {false, true}) {
    auto launch = Launch({"ls", "/proc/self/fd"});
    launch.two_stages = two_stages;
    EXPECT_EQ(RunLaunch(launch), "0\n1\n2\n3\n") << "3 is the list's own";
    const auto exec = Exec("target", {"ls", "/proc/self/fd"}, 10'000, two_stages);
    ASSERT_OK(exec);
    EXPECT_EQ(exec->output[0], "0\n1\n2\n3\n");
  }
}

TEST_F(ProcessSecurity, R03AWorkingDirectoryBehindADescriptorIsRefused) {
  StartPause();
  ASSERT_OK(Start("target", Launch({"sleep", "1000"})));
  // Daily: every one that could be open, and some above.
  const int step = Count(61, 1);
  for (int fd = 3; fd <= 1024; fd += fd < 40 ? 1 : step) {
    for (const char* base : {"/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/"}) {
      const std::string path = base + std::to_string(fd);
      auto launch = Launch({"pwd"});
      launch.spec.process.cwd = path;
      const auto started = Start("c" + std::to_string(serial_++), launch);
      ASSERT_FALSE(started) << path;
      EXPECT_EQ(started.error().code(), ErrorCode::kInvalidArgument) << started.error().message();
      runtime::ExecLaunch exec{.process = launch.spec.process, .join_namespaces = kShared, .seccomp = {}};
      const auto plan = runtime::PlanExec(exec);
      ASSERT_OK(plan);
      EXPECT_FALSE(monitor_->Exec("target", *plan, std::chrono::seconds(10))) << path;
    }
  }
}

TEST_F(ProcessSecurity, R03EveryDescriptorOfTheMonitorClosesOnExec) {
  StartPause();
  ASSERT_OK(Start("target", Launch({"sleep", "1000"})));
  const std::string process = "/proc/" + std::to_string(monitor_->pid());
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(process + "/fdinfo")) {
    const std::string number = entry.path().filename();
    if (std::stoi(number) < 3) continue;
    std::ifstream info(entry.path());
    for (std::string line; std::getline(info, line);) {
      if (!line.starts_with("flags:")) continue;
      ++seen;
      EXPECT_NE(std::stoul(line.substr(line.find_first_of("01234567")), nullptr, 8) & O_CLOEXEC, 0U)
          << number << " " << std::filesystem::read_symlink(process + "/fd/" + number);
    }
  }
  EXPECT_GT(seen, 3);
}

TEST_F(ProcessSecurity, R13AProgramIsLookedForInTheContainerOnly) {
  const std::string host_bin = outside_ / "canary";  // stands for a directory of the host
  StartPause();
  std::filesystem::create_symlink("/", root_ + "/up");
  std::filesystem::create_symlink(host_bin, root_ + "/host");
  std::filesystem::create_symlink("../../../../../../..", root_ + "/climb");
  for (const std::string& path : {std::string("/host"), "/up" + host_bin, "/climb" + host_bin, host_bin}) {
    auto launch = Launch({"outside"});
    launch.spec.process.env = {"PATH=" + path};
    EXPECT_NE(RunLaunch(launch).find("executable file not found"), std::string::npos) << path;
  }
  auto launch = Launch({"true"});
  launch.spec.process.env = {"PATH=/up/bin"};
  EXPECT_EQ(RunLaunch(launch), "");
}

// The files that glibc would load modules by: nobody outside may open those of an image.
TEST_F(ProcessSecurity, R14PlantedLibrariesAreOpenedByNobody) {
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const char* const planted[] = {"/etc/ld.so.preload",
                                 "/etc/ld.so.cache",
                                 "/etc/nsswitch.conf",
                                 "/lib/x86_64-linux-gnu/libnss_files.so.2",
                                 "/lib/x86_64-linux-gnu/libc.so.6",
                                 "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
                                 "/usr/lib/locale/locale-archive"};
  for (const char* name : planted) {
    const std::string path = root_ + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << "planted";
    ASSERT_GE(::inotify_add_watch(watch.get(), path.c_str(), IN_OPEN), 0) << path;
  }
  StartPause();
  auto launch = Launch({"sleep", "1000"});
  launch.spec.process.user = {1000, 1000, 022, {2000}};
  ASSERT_OK(Start("target", launch));
  EXPECT_OK(Exec("target", {"true"}));
  EXPECT_FALSE(Exec("target", {"no-such-program"}));
  char events[4096];
  EXPECT_LT(::read(watch.get(), events, sizeof events), 0) << "a planted file was opened";
  (void)ReadFileAt(AT_FDCWD, root_ + planted[0]);
  EXPECT_GT(::read(watch.get(), events, sizeof events), 0) << "the watch works";
}

TEST(HelperSecurity, R15ASpawnedHelperHasNothingOfItsParent) {
  ASSERT_EQ(::setenv("FERMATA_MARKER", "secret", 1), 0);
  const UniqueFd leaked(::open("/etc/passwd", O_RDONLY));  // without close-on-exec, as a library might
  ::signal(SIGPIPE, SIG_IGN);
  const TemporaryDirectory directory;
  const auto out = OpenAt(AT_FDCWD, directory / "out", O_RDWR | O_CREAT, 0600);
  SpawnOptions options;
  options.executable = "/bin/busybox";
  options.arguments = {
      "sh", "-c",
      "pwd; env | grep -v -e PWD -e SHLVL -e OLDPWD; ls /proc/self/fd; "
      "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; [ $(cut -d' ' -f6 /proc/self/stat) = $$ ] && echo leads"};
  options.environment = {"PATH=/bin"};
  options.fds = {{out->get(), 0}, {out->get(), 1}, {out->get(), 2}};
  const auto helper = Spawn(options);
  ASSERT_OK(helper);
  EXPECT_EQ(*Reap(helper->pidfd), 0);
  ::signal(SIGPIPE, SIG_DFL);
  ASSERT_EQ(::unsetenv("FERMATA_MARKER"), 0);
  EXPECT_EQ(
      *ReadFileAt(AT_FDCWD, directory / "out"),
      "/\nPATH=/bin\n0\n1\n2\n3\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n"
      "leads\n");
}

}  // namespace
}  // namespace fermata::testing
