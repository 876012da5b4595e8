// Limits on the kernel: enabling controllers, applying limits, and what is said where controllers are missing.
// Which controllers there are depends on the machine: on a hybrid host nearly none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cgroups/settings.h"
#include "runtime/base/file.h"
#include "tests/cgroups/real_group.h"

namespace fermata::cgroups {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LimitsRoot : public RealGroup {
 protected:
  // Whether the test's group can hand the controller on.
  [[nodiscard]] bool Has(const std::string& controller) const {
    const auto controllers = group_.Controllers();
    EXPECT_TRUE(Succeeded(controllers));
    return controllers && std::find(controllers->begin(), controllers->end(), controller) != controllers->end();
  }

  // A group below the test's one that has the controller if the test's one does.
  [[nodiscard]] Cgroup GroupWith(const std::string& controller) const {
    auto created = group_.Create("limited", {{controller}, 0});
    EXPECT_TRUE(Succeeded(created));
    return created ? std::move(created->cgroup) : Cgroup();
  }
};

TEST_F(LimitsRoot, CreateReportsControllersThatTheKernelDoesNotHave) {
  const auto created = group_.Create("x", {{"no-such-controller"}, 0});
  ASSERT_TRUE(Succeeded(created));
  EXPECT_THAT(created->missing_controllers, ElementsAre("no-such-controller"));
}

TEST_F(LimitsRoot, AMissingControllerIsAnErrorThatNamesItAndTheGroup) {
  if (Has("memory")) GTEST_SKIP() << "the memory controller is there";
  const auto created = group_.Create("x", {{"memory"}, 0});
  ASSERT_TRUE(Succeeded(created));
  EXPECT_THAT(created->missing_controllers, ElementsAre("memory"));
  Resources r;
  r.memory_limit_bytes = 64 << 20;
  const auto applied = Apply(created->cgroup, r);
  EXPECT_TRUE(FailsWith(ErrorCode::kFailedPrecondition, applied));
  EXPECT_THAT(applied.error().message(), HasSubstr("needs the controller memory"));
  EXPECT_THAT(applied.error().message(), HasSubstr(Name() + "/x"));
  const auto warned = Apply(created->cgroup, r, MissingControllers::kWarn);
  ASSERT_TRUE(Succeeded(warned));
  EXPECT_THAT(warned->warnings, ElementsAre(HasSubstr("needs the controller memory")));
}

TEST_F(LimitsRoot, LimitsOnTheNumberOfGroupsNeedNoController) {
  Resources r;
  r.unified = {{"cgroup.max.descendants", "1"}};
  ASSERT_TRUE(Succeeded(Apply(group_, r)));
  EXPECT_TRUE(Succeeded(group_.Create("one")));
  EXPECT_FALSE(group_.Create("two"));
}

TEST_F(LimitsRoot, HugepageLimitsAreWrittenWithTheirReservations) {
  auto enabled = root_.Create(Name(), {{"hugetlb"}, 1});
  if (!enabled || !enabled->missing_controllers.empty()) {
    GTEST_SKIP() << "the hugetlb controller is not enabled in the cgroup2 root";
  }
  const Cgroup limited = GroupWith("hugetlb");
  if (!ReadFileAt(limited.fd(), "hugetlb.2MB.max")) GTEST_SKIP() << "no huge pages of 2MB";
  Resources r;
  r.hugepage_limits = {{"2MB", 4 << 20}};
  ASSERT_TRUE(Succeeded(Apply(limited, r)));
  EXPECT_EQ(*ReadFileAt(limited.fd(), "hugetlb.2MB.max"), "4194304\n");
  EXPECT_EQ(*ReadFileAt(limited.fd(), "hugetlb.2MB.rsvd.max"), "4194304\n");
}

TEST_F(LimitsRoot, APageSizeThatTheMachineDoesNotHaveIsAnError) {
  if (!Has("hugetlb")) GTEST_SKIP() << "the hugetlb controller is not enabled in the cgroup2 root";
  Resources r;
  r.hugepage_limits = {{"3MB", 4 << 20}};
  const auto applied = Apply(GroupWith("hugetlb"), r);
  ASSERT_FALSE(applied);
  EXPECT_THAT(applied.error().message(), HasSubstr("hugetlb.3MB.max"));
}

TEST_F(LimitsRoot, APidsLimitStopsForks) {
  if (!Has("pids")) GTEST_SKIP() << "no pids controller in the cgroup2 hierarchy";
  const Cgroup limited = GroupWith("pids");
  Resources r;
  r.pids_limit = 1;
  ASSERT_TRUE(Succeeded(Apply(limited, r)));
  EXPECT_NE(RunShell(limited, "/bin/true; /bin/true"), 0);
}

TEST_F(LimitsRoot, AMemoryLimitIsReadBackAsWritten) {
  if (!Has("memory")) GTEST_SKIP() << "no memory controller in the cgroup2 hierarchy";
  const Cgroup limited = GroupWith("memory");
  Resources r;
  r.memory_limit_bytes = 64 << 20;
  r.swap_limit_bytes = 64 << 20;
  r.memory_reservation_bytes = 32 << 20;
  r.oom_group = true;
  const auto report = Apply(limited, r);
  ASSERT_TRUE(Succeeded(report));
  EXPECT_THAT(report->warnings, IsEmpty());
  EXPECT_EQ(*ReadFileAt(limited.fd(), "memory.max"), "67108864\n");
  EXPECT_EQ(*ReadFileAt(limited.fd(), "memory.low"), "33554432\n");
  EXPECT_EQ(*ReadFileAt(limited.fd(), "memory.oom.group"), "1\n");
}

}  // namespace
}  // namespace fermata::cgroups
