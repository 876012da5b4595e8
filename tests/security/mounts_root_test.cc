// Section 2 of the threat table: what an image or a neighbour arranges cannot lead a mount, a file or a directory out.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/security/security_fixture.h"

namespace fermata::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr unsigned kRenameExchange = 2;

const std::vector<std::string> kMasked = {"/proc/acpi",
                                          "/proc/asound",
                                          "/proc/interrupts",
                                          "/proc/kcore",
                                          "/proc/keys",
                                          "/proc/latency_stats",
                                          "/proc/sched_debug",
                                          "/proc/scsi",
                                          "/proc/timer_list",
                                          "/proc/timer_stats",
                                          "/sys/devices/virtual/powercap",
                                          "/sys/firmware"};

class MountSecurity : public SecurityTest {};

TEST_F(MountSecurity, M01ADirectoryThatBecomesALinkAllTheTimeLeadsNowhere) {
  StartPause();
  const std::string volume = directory_ / "volume";
  std::filesystem::create_directories(volume + "/target");
  std::filesystem::create_directories(directory_ / "source");
  for (const std::string& link : {canary(), "../../../../../../../.." + canary()}) {
    std::filesystem::remove(volume + "/swap");
    std::filesystem::create_symlink(link, volume + "/swap");
    std::atomic<bool> end = false;
    std::jthread swapper([&] {
      while (!end) {
        ::syscall(SYS_renameat2, AT_FDCWD, (volume + "/swap").c_str(), AT_FDCWD, (volume + "/target").c_str(),
                  kRenameExchange);
      }
    });
    for (int i = 0; i < Count(150, 10'000); ++i) {
      auto launch = Launch({"true"});
      launch.spec.mounts.push_back({"/volume", "bind", volume, {"rbind"}});
      launch.spec.mounts.push_back({"/volume/target/sub/deep", "bind", directory_ / "source", {"rbind"}});
      launch.spec.linux.masked_paths.emplace_back("/volume/target");
      launch.spec.process.cwd = "/volume/target/made";
      const std::string id = "c" + std::to_string(serial_++);
      if (Start(id, launch)) (void)WaitExit(id);
    }
    end = true;
    swapper.join();
    if (!std::filesystem::is_symlink(volume + "/swap")) {
      ::syscall(SYS_renameat2, AT_FDCWD, (volume + "/swap").c_str(), AT_FDCWD, (volume + "/target").c_str(),
                kRenameExchange);
    }
    ExpectCanariesAlive();
  }
}

TEST_F(MountSecurity, M02M08MaskedPathsAreEmptyWhateverTheImageCallsNull) {
  StartPause();
  std::string script;
  for (const std::string& path : kMasked) {
    script += "[ ! -e " + path + " ] || { (echo x > " + path + ") 2>/dev/null; if [ -d " + path + " ]; then ls -A " +
              path + "; mkdir " + path + "/x 2>/dev/null && echo made; else cat " + path + "; fi; }; ";
  }
  script += "(echo h > /proc/sysrq-trigger) 2>/dev/null && echo written; echo end";
  const std::function<void(const std::string&)> shapes[] = {
      LinkTo(canary() + "/outside"), [](const std::string& path) { std::ofstream(path) << "not empty"; },
      [](const std::string& path) { std::filesystem::create_directory(path); }, [](const std::string&) {}};
  for (const auto& shape : shapes) {
    Arrange("/dev/null", shape);
    auto launch = Launch({"sh", "-c", script});
    launch.spec.linux.masked_paths = kMasked;
    EXPECT_EQ(RunLaunch(launch), "end\n");
    launch.spec.mounts.erase(launch.spec.mounts.begin() + 1);  // without one of its own /dev is ours all the same
    ASSERT_NE(launch.spec.mounts[1].destination, "/dev");
    EXPECT_EQ(RunLaunch(launch), "end\n");
  }
}

TEST_F(MountSecurity, M02AMaskedPathIsNeverCoveredByAFileOfTheImage) {
  StartPause();
  Arrange("/dev", LinkTo("/"));
  for (const char* target : {"/proc/interrupts", "/proc/self/environ", "/etc/passwd"}) {
    Arrange("/null", LinkTo(target));
    auto launch = Launch({"sh", "-c", "cat /proc/interrupts; echo ran"});
    launch.spec.linux.masked_paths = kMasked;
    const std::string output = RunLaunch(launch);
    EXPECT_TRUE(output == "ran\n" || output.starts_with("error: ")) << output.substr(0, 200);
  }
}

TEST_F(MountSecurity, M02AMaskedPathThatIsALinkIsRefused) {
  StartPause();
  Arrange("/etc/secret", LinkTo("passwd"));
  auto launch = Launch({"true"});
  launch.spec.linux.masked_paths = {"/etc/secret"};
  EXPECT_THAT(RunLaunch(launch), HasSubstr("error: mask /etc/secret: "));
  launch.spec.linux.masked_paths = {"/etc/secret/below", "/etc/missing"};
  EXPECT_THAT(RunLaunch(launch), HasSubstr("error: mask /etc/secret/below: "));
}

TEST_F(MountSecurity, M03M04TwelveShapesOfDevLeadNowhere) {
  StartPause();
  const auto inside = [this](const std::string& name, const std::string& target) {
    return [this, name, target](const std::string& path) {
      std::filesystem::create_directory(path);
      std::filesystem::create_symlink(target.empty() ? canary() : target, path + "/" + name);
    };
  };
  const std::function<void(const std::string&)> shapes[] = {
      LinkTo(canary()),
      LinkTo("../../../../../../../.." + canary()),
      LinkTo("/"),
      LinkTo("/proc/self/fd"),
      LinkTo("dangling"),
      LinkTo("dev"),
      [](const std::string& path) { std::ofstream(path) << "a file"; },
      [](const std::string& path) { ::mkfifo(path.c_str(), 0600); },
      [](const std::string&) {},
      inside("pts", ""),
      inside("ptmx", ""),
      inside("console", canary() + "/outside"),
      inside("shm", ""),
      inside("mqueue", ""),
      inside("null", canary() + "/outside"),
  };
  int shape_number = 0;
  for (const auto& shape : shapes) {
    Arrange("/dev", shape);
    auto launch = Launch({"sh", "-c", "[ -c /dev/null ] && [ -d /dev/pts ] && [ -c /dev/ptmx ] && echo ours"});
    launch.spec.linux.devices = {{"/dev/made/by/us", 'c', 1, 3, 0666, 1000, 1000}};
    const std::string output = RunLaunch(launch);
    // Over a link to the root nothing of ours is in sight; whatever stands there is the image's own.
    EXPECT_TRUE(output == "ours\n" || output.starts_with("error: ")) << "shape " << shape_number << ": " << output;
    ++shape_number;
    ExpectCanariesAlive();
  }
}

TEST_F(MountSecurity, R09AProcThatTheImageArrangedIsNeverWrittenThrough) {
  const std::string core_pattern = *ReadFileAt(AT_FDCWD, "/proc/sys/kernel/core_pattern");
  StartPause();
  const std::function<void(const std::string&)> shapes[] = {
      LinkTo(canary()),
      LinkTo("../../../../../.." + canary()),
      LinkTo("/sys"),
      LinkTo("tmp"),
      [](const std::string& path) { std::ofstream(path) << "a file"; },
      [](const std::string&) {},
      [](const std::string& path) { std::filesystem::create_directories(path + "/self/attr"); }};
  for (const auto& shape : shapes) {
    Arrange("/proc", shape);
    auto launch = Launch({"sh", "-c", "[ -r /proc/1/comm ] && echo procfs"});
    launch.spec.process.apparmor_profile = "unconfined-by-the-image";
    EXPECT_THAT(RunLaunch(launch), HasSubstr("error: ")) << "no label without a security module";
    launch.spec.process.apparmor_profile.clear();
    (void)RunLaunch(launch);  // or refused; with a link to /sys its procfs lies below what is mounted there
    ExpectCanariesAlive();
  }
  Arrange("/proc", [](const std::string& path) { std::filesystem::create_directory(path); });
  auto covered = Launch({"true"});
  covered.spec.mounts.push_back({"/proc", "tmpfs", "tmpfs", {"size=64k"}});
  covered.spec.process.apparmor_profile = "x";
  EXPECT_THAT(RunLaunch(covered), HasSubstr("error: "));
  EXPECT_EQ(*ReadFileAt(AT_FDCWD, "/proc/sys/kernel/core_pattern"), core_pattern);
}

TEST_F(MountSecurity, M07ControlGroupsAreReadOnlyAndTheContainersOwn) {
  StartPause();
  const std::string output = Run({"sh", "-c",
                                  "cat /proc/self/cgroup | grep '^0::'; cd /sys/fs/cgroup; "
                                  "for f in cgroup.procs memory.max cgroup.subtree_control ../cgroup.procs "
                                  "../../cgroup.procs; do (echo 0 > $f) 2>/dev/null && echo written $f; done; "
                                  "mkdir x 2>/dev/null && echo made; (echo 1 > /sys/kernel/mm/ksm/run) 2>/dev/null && "
                                  "echo written sys; true"});
  EXPECT_EQ(output, "0::/\n");
}

TEST_F(MountSecurity, M10MountsOfAContainerArePrivateToIt) {
  StartPause();
  for (int i = 0; i < Count(20, 500); ++i) {
    auto launch = Launch({"sh", "-c", "grep -c -e shared: -e master: /proc/self/mountinfo"});
    launch.spec.mounts.push_back({"/mnt", "bind", canary(), {"rbind", "rprivate"}});
    EXPECT_EQ(RunLaunch(launch), "0\n");
  }
}

TEST_F(MountSecurity, M14LinksInPlaceOfGeneratedFilesLeadNowhere) {
  StartPause();
  const std::string generated = directory_ / "generated";
  std::ofstream(generated) << "generated\n";
  const std::string targets[] = {canary() + "/outside",
                                 "../../../../../../../.." + canary() + "/outside",
                                 canary() + "/missing",
                                 "../../../../../../../.." + canary() + "/missing",
                                 canary(),
                                 "/proc/1/root" + canary() + "/outside",
                                 "/proc/self/fd/0",
                                 "loop"};
  for (const char* name : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"}) {
    for (const std::string& target : targets) {
      Arrange(name, LinkTo(target));
      auto launch = Launch({"true"});
      launch.spec.mounts.push_back({name, "bind", generated, {"bind", "rprivate"}});
      const std::string output = RunLaunch(launch);
      EXPECT_TRUE(output.empty() || output.starts_with("error: ")) << name << " " << target << ": " << output;
      ExpectCanariesAlive();
      (void)RemoveTree(AT_FDCWD, root_ + "/tmp");
      std::filesystem::create_directory(root_ + "/tmp");
    }
    Arrange(name, [](const std::string&) {});
  }
}

TEST_F(MountSecurity, M15SharedMemoryAndEveryOtherTmpfsHasALimit) {
  StartPause();
  const std::string output =
      Run({"sh", "-c",
           "dd if=/dev/zero of=/dev/shm/fill bs=1M count=100 2>&1 | grep -c 'No space left'; rm /dev/shm/fill; "
           "grep ' - tmpfs ' /proc/self/mountinfo | grep -v size="});
  EXPECT_EQ(output, "1\n") << "a tmpfs without a size";
}

TEST_F(MountSecurity, M12AContainerWithAUserNamespaceHasAProcOfItsOwn) {
  const runtime::UserMappings user{{{0, 100'000, 65'536}}, {{0, 100'000, 65'536}}};
  const auto plan =
      runtime::PlanPause({.new_namespaces = kShared | CLONE_NEWPID, .hostname = "pod", .sysctls = {}, .user = user});
  ASSERT_OK(plan);
  ASSERT_OK(monitor_->StartPause(*plan, pause_group_.get()));
  auto launch =
      Launch({"sh", "-c", "cat /proc/1/comm; grep -c ' / /proc ' /proc/self/mountinfo; cat /proc/self/uid_map"});
  launch.user = user;
  const std::string output = RunLaunch(launch);
  EXPECT_THAT(output, HasSubstr("fermata-p")) << "our own first process";
  EXPECT_THAT(output, HasSubstr(" 100000 "));
  EXPECT_THAT(output, Not(HasSubstr("systemd")));
}

TEST_F(MountSecurity, C16NoGroupOfTheFirstVersionIsInSight) {
  StartPause();
  auto launch = Launch({"sh", "-c",
                        "grep -c ' - cgroup ' /proc/self/mountinfo; mkdir /tmp/v1; mount -t cgroup -o memory x /tmp/v1 "
                        "2>/dev/null && echo mounted; mount -t cgroup2 x /tmp/v1 2>/dev/null && echo mounted; true"});
  const std::vector<std::string> names = {"CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_MKNOD"};
  launch.spec.process.capabilities = {names, names, {}, names, {}};
  EXPECT_EQ(RunLaunch(launch), "0\n");
}

}  // namespace
}  // namespace fermata::testing
