// What a Spec becomes: the steps and their order. No root needed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <cstring>

#include "runtime/launch/container_plan.h"
#include "runtime/launch/identity.h"
#include "runtime/launch/mount_options.h"
#include "runtime/launch/mounts.h"
#include "runtime/launch/scheduling.h"
#include "tests/fixtures/temporary.h"

namespace fermata::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ContainerLaunch SmallLaunch() {
  ContainerLaunch launch;
  launch.spec.process.args = {"sh"};
  launch.spec.process.env = {"PATH=/bin::/usr/bin"};
  launch.overlay = OverlayRootfs{"/data/layers", {"2", "1"}, "/data/s/upper", "/data/s/work", false};
  launch.spec.mounts = {{"/proc", "proc", "proc", {"nosuid"}},
                        {"/dev", "bind", "/dev", {"rbind"}},
                        {"/etc/hosts", "bind", "/run/hosts", {"bind", "ro"}}};
  launch.spec.linux.masked_paths = {"/proc/kcore"};
  launch.spec.linux.readonly_paths = {"/proc/sys"};
  launch.join_namespaces = CLONE_NEWNET;
  return launch;
}

TEST(LaunchPlanTest, TheOrderIsTheOneThatWorks) {
  const auto plan = PlanContainer(SmallLaunch());
  ASSERT_OK(plan);
  EXPECT_THAT(
      plan->Lines(),
      ElementsAre("start session", "start session keyring", "set oom_score_adj",
                  // host paths, before any namespace is joined
                  "open /dev for /dev", "set propagation of /dev", "open /run/hosts for /etc/hosts",
                  "set propagation of /etc/hosts", "set attributes of /etc/hosts",
                  "mount overlay of 2 layers: chdir /data/layers", "mount overlay of 2 layers",
                  "mount overlay of 2 layers: option source", "mount overlay of 2 layers: option lowerdir",
                  "mount overlay of 2 layers: option upperdir", "mount overlay of 2 layers: option workdir",
                  "mount overlay of 2 layers: option volatile", "mount overlay of 2 layers", "chdir /",
                  "give standard streams to the user", "join the pod's namespaces", "make mount and cgroup namespace",
                  "attach root file system", "mount proc on /proc", "mount proc on /proc: option source",
                  "mount proc on /proc", "mount proc on /proc", "mount proc on /proc", "mount proc on /proc",
                  "mount /dev on /dev", "mount /dev on /dev", "mount /dev on /dev", "mount /run/hosts on /etc/hosts",
                  "mount /run/hosts on /etc/hosts", "mount /run/hosts on /etc/hosts",
                  // protection after all mounts, masks last
                  "make /proc/sys read-only", "open /dev/null to mask paths", "mask /proc/kcore", "change root",
                  "enter working directory /",
                  // identity: groups before ids, ids before capabilities
                  "set bounding set", "set supplementary groups", "set uid 0 and gid 0", "set umask",
                  "set capabilities", "set ambient capabilities", "mark descriptors"));
}

TEST(LaunchPlanTest, LayersAreNamedOneByOneWhereTheKernelTakesThem) {
  auto launch = SmallLaunch();
  launch.overlay->append_layers = true;
  const auto plan = PlanContainer(launch);
  ASSERT_OK(plan);
  EXPECT_THAT(plan->Lines(), ::testing::Contains("mount overlay of 2 layers: option lowerdir+").Times(2));
}

TEST(LaunchPlanTest, TheFilterIsLoadedLastAndTwoStagesDropTheRestBeforeTheSecond) {
  auto launch = SmallLaunch();
  launch.seccomp = std::make_shared<const SeccompProgram>(
      SeccompProgram{std::vector<sock_filter>(3, sock_filter{BPF_RET, 0, 0, 0}), 0});
  launch.two_stages = true;
  const auto plan = PlanContainer(launch);
  ASSERT_OK(plan);
  const auto lines = plan->Lines();
  EXPECT_EQ(lines[lines.size() - 4], "mark descriptors");
  EXPECT_EQ(lines[lines.size() - 3], "load seccomp filter");
  EXPECT_EQ(lines[lines.size() - 2], "set capabilities");
  EXPECT_EQ(lines.back(), "enter the PID namespace");
  EXPECT_EQ(plan->view().header().join_pid_namespace, 0U) << "not born there, but joining with the container's rights";
}

TEST(LaunchPlanTest, PathIsSearchedWithoutTheWorkingDirectory) {
  const auto plan = PlanContainer(SmallLaunch());
  ASSERT_OK(plan);
  const PlanView view = plan->view();
  ASSERT_EQ(view.header().candidate_count, 2U);
  EXPECT_STREQ(view.Text(view.Array(view.header().candidates)[0]), "/bin/sh");
  EXPECT_STREQ(view.Text(view.Array(view.header().candidates)[1]), "/usr/bin/sh");
}

TEST(LaunchPlanTest, BadInputIsTheCallersMistake) {
  const auto refused = [](const auto& change, const std::string& text) {
    auto launch = SmallLaunch();
    change(launch);
    const auto plan = PlanContainer(launch);
    ASSERT_FALSE(plan) << text;
    EXPECT_EQ(plan.error().code(), ErrorCode::kInvalidArgument) << plan.error().message();
    EXPECT_THAT(plan.error().message(), HasSubstr(text));
  };
  refused([](auto& l) { l.spec.process.args.clear(); }, "no command");
  refused([](auto& l) { l.spec.process.args = {"/proc/self/exe"}; }, "must not lie in /proc/self");
  refused([](auto& l) { l.spec.process.capabilities.bounding = {"CAP_NONSENSE"}; }, "unknown capability CAP_NONSENSE");
  refused([](auto& l) { l.spec.process.capabilities.ambient = {"CAP_CHOWN"}; }, "ambient capabilities");
  refused([](auto& l) { l.spec.process.rlimits = {{"RLIMIT_X", 1, 1}}; }, "unknown resource limit RLIMIT_X");
  refused([](auto& l) { l.spec.process.rlimits = {{"RLIMIT_NOFILE", 2, 1}}; }, "soft limit is over");
  refused([](auto& l) { l.spec.process.scheduler = {.policy = "SCHED_NEVER"}; }, "scheduling policy SCHED_NEVER");
  refused([](auto& l) { l.spec.process.scheduler = {.policy = "SCHED_OTHER", .nice = 20}; }, "nice must be between");
  refused([](auto& l) { l.spec.process.scheduler = {.policy = "SCHED_OTHER", .flags = {"X"}}; }, "scheduling flag X");
  refused([](auto& l) { l.spec.process.io_priority = {"IOPRIO_CLASS_NONE", 1}; }, "unknown I/O priority class");
  refused([](auto& l) { l.spec.process.io_priority = {"IOPRIO_CLASS_BE", 8}; }, "between 0 and 7");
  refused([](auto& l) { l.spec.linux.time_offsets["monotonic"] = {1, 0}; }, "need a new time namespace");
  refused(
      [](auto& l) {
        l.spec.linux.namespaces = {{"time", ""}};
        l.spec.linux.time_offsets["realtime"] = {1, 0};
      },
      "only monotonic and boottime");
  refused([](auto& l) { l.spec.linux.personality = {"DOS"}; }, "unknown personality DOS");
  refused(
      [](auto& l) {
        l.spec.mounts.push_back({"/x", "bind", "/y", {"rbind", "size=1", "noexce"}});
      },
      "has no meaning for a bind");
  refused([](auto& l) { l.spec.mounts.push_back({"relative", "tmpfs", "", {}}); }, "is not absolute");
  refused([](auto& l) { l.spec.mounts.push_back({"/x", "tmpfs", "", {"a,b"}}); }, "is not valid");
  refused([](auto& l) { l.spec.process.args = {"sh", std::string("a\0b", 3)}; }, "NUL byte");
  refused(
      [](auto& l) {
        for (int i = 0; i < 1000; ++i) l.spec.mounts.push_back({"/m" + std::to_string(i), "bind", "/x", {}});
      },
      "too many mounts");
}

TEST(LaunchPlanTest, MountOptionsAreTakenApart) {
  const auto parsed = ParseMountOptions({"rbind", "rslave", "ro", "nosuid", "rw", "mode=755", "rro", "rw"});
  ASSERT_OK(parsed);
  EXPECT_TRUE(parsed->recursive_bind);
  EXPECT_EQ(parsed->propagation, MS_SLAVE);
  EXPECT_EQ(parsed->attributes, MOUNT_ATTR_NOSUID);
  EXPECT_EQ(parsed->recursive_set, MOUNT_ATTR_RDONLY);
  EXPECT_EQ(parsed->recursive_clear, 0U);
  EXPECT_EQ(parsed->data, (std::vector<std::pair<std::string, std::string>>{{"mode", "755"}}));
}

// The access time is one field with several values, of which 0 is one (mount_setattr(2)).
TEST(LaunchPlanTest, EveryAttributeHasARecursiveForm) {
  const auto parsed = [](const std::vector<std::string>& options) {
    const MountOptions all = *ParseMountOptions(options);
    return std::pair<uint64_t, uint64_t>(all.recursive_set, all.recursive_clear);
  };
  using Pair = std::pair<uint64_t, uint64_t>;
  EXPECT_EQ(parsed({"rnosuid", "rnodev", "rnoexec"}),
            Pair(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0));
  EXPECT_EQ(parsed({"rrw", "rsuid"}), Pair(0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
  EXPECT_EQ(parsed({"rro", "rrw"}), Pair(0, MOUNT_ATTR_RDONLY)) << "the last one counts";
  EXPECT_EQ(parsed({"rrw", "rro"}), Pair(MOUNT_ATTR_RDONLY, 0));
  EXPECT_EQ(parsed({"rnoatime"}), Pair(MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME));
  EXPECT_EQ(parsed({"rnoatime", "rrelatime"}), Pair(0, MOUNT_ATTR__ATIME));
  EXPECT_EQ(ParseMountOptions({"noatime", "strictatime"})->attributes, MOUNT_ATTR_STRICTATIME);
  EXPECT_EQ(ParseMountOptions({"noatime", "atime"})->attributes, 0U);
  EXPECT_THAT(ParseMountOptions({"rsize=1", "rnonsense"})->data.size(), 2U) << "for the file system";
}

TEST(LaunchPlanTest, ListsOfCpusAreMasks) {
  const auto mask = ParseCpuList("0-3,7,64");
  ASSERT_OK(mask);
  EXPECT_EQ(*mask, (std::vector<uint64_t>{0x8f, 1}));
  EXPECT_EQ(*ParseCpuList("8191"), [] {
    std::vector<uint64_t> last(128);
    last.back() = uint64_t{1} << 63;
    return last;
  }());
  for (const char* bad : {"", "-", "3-1", "0,", ",0", "0-", "a", "0x1", "1 2", "8192", "0-99999999999", " 1", "+1"}) {
    const auto refused = ParseCpuList(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidArgument) << bad;
  }
}

TEST(LaunchPlanTest, CapabilityNamesAreBits) {
  EXPECT_EQ(*CapabilityMask({"CAP_CHOWN", "CAP_KILL"}), 0x21U);
  EXPECT_FALSE(CapabilityMask({"CHOWN"}));
}

TEST(LaunchPlanTest, ADamagedPlanIsRefusedBeforeAnyChildSeesIt) {
  const auto plan = PlanContainer(SmallLaunch());
  ASSERT_OK(plan);
  const std::vector<std::byte> good(plan->bytes().begin(), plan->bytes().end());
  EXPECT_TRUE(ValidatePlan(good));
  std::vector<std::byte> shorter(good.begin(), good.end() - 1);
  EXPECT_FALSE(ValidatePlan(shorter));
  // Every byte changed in turn: refused, or still a plan whose positions are in range; never a crash.
  for (size_t i = 0; i < good.size(); ++i) {
    std::vector<std::byte> changed = good;
    changed[i] ^= std::byte{0xff};
    (void)ValidatePlan(changed);
  }
  std::vector<std::byte> wild = good;
  PlanStep step;
  std::memcpy(&step, wild.data() + sizeof(PlanHeader), sizeof step);
  step.fd = 9999;
  std::memcpy(wild.data() + sizeof(PlanHeader), &step, sizeof step);
  EXPECT_FALSE(ValidatePlan(wild));
}

}  // namespace
}  // namespace fermata::runtime
