// A pod without the daemon: one monitor, pause, and containers on a busybox root.
#pragma once

#include <sched.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "runtime/base/memfd.h"
#include "runtime/launch/container_plan.h"
#include "runtime/monitor/client.h"
#include "tests/fixtures/root_environment.h"

namespace fermata::testing {

inline runtime::Spec BusyboxSpec(const std::string& root, std::vector<std::string> arguments) {
  runtime::Spec spec;
  spec.root_path = root;
  spec.process.args = std::move(arguments);
  spec.process.env = {"PATH=/bin"};
  spec.mounts = {{"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
                 {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
                 {"/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
                 {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777"}},
                 {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
                 {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
                 {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "ro"}}};
  spec.linux.masked_paths = {"/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware", "/proc/scsi"};
  spec.linux.readonly_paths = {"/proc/bus", "/proc/sys", "/proc/sysrq-trigger"};
  return spec;
}

class PodTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kShared = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

  void SetUp() override {
    if (!IsRoot()) GTEST_SKIP() << "needs root";
    if (Cgroup2Mount().empty()) GTEST_SKIP() << "needs a cgroup2 mount";
    root_ = directory_ / "root";
    MakeBusyboxRoot(root_);
    std::filesystem::create_directory(directory_ / "run");
    std::filesystem::create_directory(directory_ / "logs");
    auto run = OpenAt(AT_FDCWD, directory_ / "run", O_RDONLY | O_DIRECTORY);
    ASSERT_OK(run);
    run_ = std::move(*run);
    auto reactor = runtime::Reactor::Start();
    ASSERT_OK(reactor);
    reactor_ = std::move(*reactor);
    auto monitor = SealedProgram("fermata-monitor", FERMATA_BIN_DIR "/fermata-monitor");
    auto pause = SealedProgram("fermata-pause", FERMATA_BIN_DIR "/fermata-pause");
    ASSERT_OK(monitor);
    ASSERT_OK(pause);
    zygote_ = std::make_unique<runtime::ZygoteClient>(runtime::MonitorPrograms{std::move(*monitor), std::move(*pause)});
    monitor_group_ = cgroup_.Make("monitor");
    pause_group_ = cgroup_.Make("pause");
    auto client = runtime::MonitorClient::Start(*reactor_, *zygote_, run_.get(), monitor_group_.get(), Events());
    ASSERT_OK(client);
    monitor_ = std::move(*client);
  }

  void TearDown() override {
    if (monitor_ == nullptr) return;
    EXPECT_OK(monitor_->Stop());
    EXPECT_OK(monitor_->Quit());
  }

  runtime::MonitorEvents Events() {
    return {.exited =
                [this](const runtime::ContainerExit& exit) {
                  const std::lock_guard lock(mutex_);
                  exits_[exit.container_id] = exit;
                  changed_.notify_all();
                },
            .pause_exited = {},
            .lost = {}};
  }

  void StartPause(uint64_t namespaces = kShared | CLONE_NEWPID) {
    const auto plan = runtime::PlanPause({.new_namespaces = namespaces, .hostname = "pod", .sysctls = {}});
    ASSERT_OK(plan);
    ASSERT_OK(monitor_->StartPause(*plan, pause_group_.get()));
  }

  runtime::ContainerLaunch Launch(std::vector<std::string> arguments) {
    return {.spec = BusyboxSpec(root_, std::move(arguments)), .overlay = {}, .join_namespaces = kShared, .seccomp = {}};
  }

  Result<runtime::StartedProcess> Start(const std::string& id, const runtime::ContainerLaunch& launch) {
    ASSIGN_OR_RETURN(const runtime::LaunchPlan plan, runtime::PlanContainer(launch));
    const UniqueFd group = cgroup_.Make(id);
    ASSIGN_OR_RETURN(const UniqueFd log, OpenAt(AT_FDCWD, LogPath(id), O_WRONLY | O_CREAT | O_APPEND, 0640));
    return monitor_->StartContainer(id, plan, {.cgroup_fd = group.get(), .log_fd = log.get(), .pid_target = {}});
  }

  runtime::ContainerExit WaitExit(const std::string& id) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(20), [&] { return exits_.contains(id); })) {
      ADD_FAILURE() << "container " << id << " did not exit";
      return {};
    }
    return exits_[id];
  }

  // Runs a shell command as a container to its end; its output, with the tags of the log taken off.
  std::string Output(const std::string& id, const runtime::ContainerLaunch& launch) {
    if (auto started = Start(id, launch); !started) return "error: " + started.error().message();
    (void)WaitExit(id);
    return Log(id);
  }
  std::string Log(const std::string& id) {
    std::ifstream file(LogPath(id));
    std::string text;
    for (std::string line; std::getline(file, line);) {
      size_t at = 0;
      for (int i = 0; i < 3 && at != std::string::npos; ++i) at = line.find(' ', at) + 1;
      text += line.substr(at) + "\n";
    }
    return text;
  }
  [[nodiscard]] std::string LogPath(const std::string& id) const { return directory_ / ("logs/" + id + ".log"); }

  Result<runtime::ExecResult> Exec(const std::string& id, std::vector<std::string> arguments, int timeout_ms = 10'000,
                                   bool two_stages = false, runtime::SeccompFilter seccomp = {}) {
    runtime::ExecLaunch launch{.process = BusyboxSpec(root_, std::move(arguments)).process,
                               .join_namespaces = kShared,
                               .two_stages = two_stages,
                               .personality = {},
                               .seccomp = std::move(seccomp)};
    ASSIGN_OR_RETURN(const runtime::LaunchPlan plan, runtime::PlanExec(launch));
    return monitor_->Exec(id, plan, std::chrono::milliseconds(timeout_ms));
  }

  TemporaryDirectory directory_;
  TestCgroup cgroup_;
  std::string root_;
  UniqueFd run_, monitor_group_, pause_group_;
  std::unique_ptr<runtime::Reactor> reactor_;
  std::unique_ptr<runtime::ZygoteClient> zygote_;
  std::shared_ptr<runtime::MonitorClient> monitor_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, runtime::ContainerExit> exits_;
};

}  // namespace fermata::testing
