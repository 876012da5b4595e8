// Process steps of the child: namespaces, identity, limits. The rules at the top of child_script.h apply.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "runtime/launch/child_script.h"

namespace fermata::runtime {
namespace {

constexpr uint64_t kCapabilityCount = 64;  // PR_CAPBSET_DROP answers EINVAL past the last one known

int WriteText(int directory, const char* path, const char* text) noexcept {
  const int fd = ::openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -1;
  const auto length = static_cast<ssize_t>(std::strlen(text));
  const ssize_t written = ::write(fd, text, static_cast<size_t>(length));
  const int error = errno;
  ::close(fd);
  errno = written < 0 ? error : EIO;
  return written == length ? 0 : -1;
}

int LoopbackUp() noexcept {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int done = ::ioctl(fd, SIOCSIFFLAGS, &request);
  ::close(fd);
  return done;
}

int LimitBoundingSet(uint64_t keep) noexcept {
  for (uint64_t capability = 0; capability < kCapabilityCount; ++capability) {
    if ((keep >> capability & 1) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return errno == EINVAL ? 0 : -1;
  }
  return 0;
}

int SetCapabilities(const PlanStep& step) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct data[2] = {
      {static_cast<uint32_t>(step.a), static_cast<uint32_t>(step.b), static_cast<uint32_t>(step.c)},
      {static_cast<uint32_t>(step.a >> 32), static_cast<uint32_t>(step.b >> 32), static_cast<uint32_t>(step.c >> 32)}};
  return static_cast<int>(::syscall(SYS_capset, &header, data));
}

int RaiseAmbient(uint64_t set) noexcept {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return -1;
  for (uint64_t capability = 0; capability < kCapabilityCount; ++capability) {
    if ((set >> capability & 1) == 0) continue;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return -1;
  }
  return 0;
}

// Raw calls: glibc's wrappers would look for threads. Capabilities stay permitted until kCapabilities.
int SetIds(uint64_t uid, uint64_t gid) noexcept {
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return -1;
  if (::syscall(SYS_setresgid, gid, gid, gid) != 0) return -1;
  return static_cast<int>(::syscall(SYS_setresuid, uid, uid, uid));
}

int LoadSeccomp(const PlanView& plan, const PlanStep& step) noexcept {
  const sock_fprog program{static_cast<unsigned short>(step.a),
                           reinterpret_cast<sock_filter*>(const_cast<char*>(plan.Bytes(step.text)))};
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, step.b, &program));
}

// So that a non-root user can open /dev/stdout and /dev/stderr, which lead to these pipes.
int OwnStdio(uid_t uid, gid_t gid) noexcept {
  for (int fd = 0; fd < 3; ++fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return -1;
    if (S_ISFIFO(status.st_mode) && ::fchown(fd, uid, gid) != 0) return -1;
  }
  return 0;
}

// The process that joined with the host's rights ends here; its sibling, a child of the monitor too, goes
// on without them. The pid is written to the report pipe in the monitor's numbering.
int Stage(const ChildState& state) noexcept {
  // clone, not clone3: the default seccomp profile, which may be on already, answers clone3 with ENOSYS.
  const long pid = ::syscall(SYS_clone, CLONE_PARENT, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) return -1;
  if (pid == 0) return 0;
  const ChildFailure next{~0U, static_cast<int32_t>(pid)};
  (void)!::write(state.report, &next, sizeof next);
  ::syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

int SetRlimit(const PlanStep& step) noexcept {
  const rlimit limit{step.b, step.c};
  return ::setrlimit(static_cast<__rlimit_resource>(step.a), &limit);
}

}  // namespace

int RunProcessStep(ChildState& state, const PlanStep& step) noexcept {
  const char* text = state.plan.Text(step.text);
  switch (step.op) {
    case Op::kSetns:
      return ::setns(state.slots[step.fd], static_cast<int>(step.a));
    case Op::kUnshare:
      return ::unshare(static_cast<int>(step.a));
    case Op::kSetsid:
      return ::setsid() < 0 ? -1 : 0;
    case Op::kNewKeyring:
      return ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 ? -1 : 0;
    case Op::kOomScoreAdj:
      return WriteText(AT_FDCWD, "/proc/self/oom_score_adj", text);
    case Op::kRlimit:
      return SetRlimit(step);
    case Op::kHostname:
      return ::sethostname(text, std::strlen(text));
    case Op::kLoopbackUp:
      return LoopbackUp();
    case Op::kSysctl:
      return WriteText(state.slots[step.fd], text, state.plan.Text(step.text2));
    case Op::kUmask:
      ::umask(static_cast<mode_t>(step.a));
      return 0;
    case Op::kBoundingSet:
      return LimitBoundingSet(step.a);
    case Op::kGroups:
      return static_cast<int>(::syscall(SYS_setgroups, step.a, step.a == 0 ? nullptr : state.plan.Bytes(step.text)));
    case Op::kIds:
      return SetIds(step.a, step.b);
    case Op::kCapabilities:
      return SetCapabilities(step);
    case Op::kAmbientSet:
      return RaiseAmbient(step.a);
    case Op::kNoNewPrivileges:
      return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    case Op::kSeccomp:
      return LoadSeccomp(state.plan, step);
    case Op::kStage:
      return Stage(state);
    case Op::kStdioOwner:
      return OwnStdio(static_cast<uid_t>(step.a), static_cast<gid_t>(step.b));
    default:
      errno = EINVAL;
      return -1;
  }
}

}  // namespace fermata::runtime
