#include "runtime/launch/launcher.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/clone.h"
#include "runtime/launch/child_script.h"
#include "runtime/launch/user_namespace.h"

namespace fermata::runtime {
namespace {

// A new child of ours is born in the PID namespace set here (pid_namespaces(7)); the launcher itself stays.
Result<> SetChildPidNamespace(int fd) {
  if (::setns(fd, CLONE_NEWPID) == 0) return {};
  Error error = Error::Errno("setns pid");
  return error.saved_errno() == ESRCH ? Error::FromErrno(ESRCH, "the sandbox is gone: setns pid") : error;
}

// What goes into slots beside the two fixed ones; namespaces that had to be made are kept in `made`.
Result<std::vector<SlotFd>> ExtraSlots(const PlanView& plan, const LaunchFds& fds, std::vector<UniqueFd>& made) {
  if (plan.header().given_count != fds.given.size()) return Error::FromErrno(EINVAL, "launch plan: descriptors");
  std::vector<SlotFd> slots;
  for (size_t i = 0; i < fds.given.size(); ++i) {
    slots.push_back({fds.given[i], static_cast<int16_t>(kFirstFreeSlot + i)});
  }
  for (const PlanUserNamespace& entry : plan.user_namespaces()) {
    int fd = fds.pod_user_ns;
    if (entry.uid_map != kNoText) {
      ASSIGN_OR_RETURN(UniqueFd user_ns, MakeUserNamespace(plan.Text(entry.uid_map), plan.Text(entry.gid_map)));
      fd = made.emplace_back(std::move(user_ns)).get();
    }
    if (fd < 0) return Error::FromErrno(EINVAL, "launch plan: the pod has no user namespace");
    slots.push_back({fd, static_cast<int16_t>(entry.slot)});
  }
  return slots;
}

}  // namespace

Result<LaunchedProcess> Launch(const PlanView& plan, const LaunchFds& fds) {
  LaunchedProcess process;
  ASSIGN_OR_RETURN(const std::vector<SlotFd> extra, ExtraSlots(plan, fds, process.user_namespaces));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::Errno("pipe");
  process.report.Reset(ends[0]);
  const UniqueFd report(ends[1]);
  // Ours must not block; a process that is told to wait does so elsewhere.
  if (::fcntl(process.report.get(), F_SETFL, O_NONBLOCK) != 0) return Error::Errno("fcntl");
  const ChildFds child_fds{
      {fds.standard[0], fds.standard[1], fds.standard[2]}, report.get(), fds.join, fds.pid_join, fds.program, extra};
  const bool join_pid = plan.header().join_pid_namespace != 0;
  if (join_pid) RETURN_IF_ERROR(SetChildPidNamespace(fds.pid_join));
  auto cloned = ClonePlain({.flags = plan.header().clone_flags, .cgroup_fd = fds.cgroup});
  if (cloned && cloned->pid == 0) RunChild(plan, child_fds);
  // Without the way back every later CLONE_NEWPID would be refused; it cannot fail for our own namespace.
  if (join_pid) RETURN_IF_ERROR(SetChildPidNamespace(fds.own_pid_ns));
  if (!cloned) return std::move(cloned).error();
  process.pid = cloned->pid;
  process.pidfd = std::move(cloned->pidfd);
  return process;
}

bool TakesPidNamespaceOfProc() {
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC)));
  const UniqueFd own(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
  return ::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_FD, "pidns", nullptr, own.get()) == 0;
}

Report ReadReport(int report, ChildFailure& message) {
  for (;;) {
    const ssize_t count = ::read(report, &message, sizeof message);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return Report::kNothing;
    if (count != sizeof message) return Report::kClosed;
    if (message.step == kReportStage) return Report::kStage;
    return message.step == kReportGate ? Report::kGate : Report::kFailed;
  }
}

}  // namespace fermata::runtime
