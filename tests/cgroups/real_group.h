// RealGroup: the fixture of the root tests. A control group fermata-test-<pid> of its own in the cgroup2 mount,
// emptied and removed before and after each test. Skips with a reason where there is none to be had.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "cgroups/cgroup.h"
#include "cgroups/mount.h"
#include "runtime/base/spawn.h"
#include "tests/cgroups/fake_group.h"

namespace fermata::cgroups {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{20000};  // a deadline of tests that should never reach it

class RealGroup : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    const auto mount = FindCgroup2Mount();
    if (!mount) GTEST_SKIP() << mount.error().message();
    auto root = Cgroup::Open(*mount);
    ASSERT_TRUE(Succeeded(root));
    root_ = std::move(root).value();
    RemoveGroup();
    auto created = root_.Create(Name(), {{}, 1});
    if (!created) GTEST_SKIP() << "cgroup2 mount is not writable: " << created.error().message();
    group_ = std::move(created->cgroup);
  }

  void TearDown() override {
    if (root_.fd() >= 0) RemoveGroup();
  }

  static std::string Name() { return "fermata-test-" + std::to_string(::getpid()); }

  // A shell that is born in `group`. Reaped by the test or, after a kill, by Reap.
  static Result<SpawnedProcess> Shell(const Cgroup& group, const std::string& script) {
    SpawnOptions options;
    options.executable = "/bin/sh";
    options.arguments = {"sh", "-c", script};
    options.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    options.cgroup_fd = group.fd();
    return Spawn(options);
  }

  // The exit code of a script that runs in `group`; -1 if it could not run.
  static int RunShell(const Cgroup& group, const std::string& script) {
    auto process = Shell(group, script);
    EXPECT_TRUE(Succeeded(process));
    if (!process) return -1;
    const auto code = Reap(process->pidfd);
    EXPECT_TRUE(Succeeded(code));
    return code ? *code : -1;
  }

  Cgroup root_;
  Cgroup group_;

 private:
  void RemoveGroup() {
    if (const auto group = root_.OpenBelow(Name())) {
      EXPECT_TRUE(Succeeded(group->Kill()));
      EXPECT_TRUE(Succeeded(group->WaitEmpty(kPatience)));
    }
    EXPECT_TRUE(Succeeded(root_.Remove(Name())));
  }
};

}  // namespace fermata::cgroups
