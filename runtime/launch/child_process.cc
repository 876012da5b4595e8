// Process steps of the child: namespaces, identity, limits. The rules at the top of child_script.h apply.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
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

constexpr size_t kMaxLabel = 4096;
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

// A listener goes to whoever launched us, by one sendmsg: the only call that nobody can answer yet.
int LoadSeccomp(const ChildState& state, const PlanStep& step) noexcept {
  const sock_fprog program{static_cast<unsigned short>(step.a),
                           reinterpret_cast<sock_filter*>(const_cast<char*>(state.plan.Bytes(step.text)))};
  const uint64_t flags = step.fd == kNoSlot ? step.b : step.b | SECCOMP_FILTER_FLAG_NEW_LISTENER;
  const long loaded = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (loaded < 0 || step.fd == kNoSlot) return static_cast<int>(loaded);
  return SendDescriptor(state.slots[step.fd], static_cast<int>(loaded));
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
int Stage(const ChildState& state, uint64_t flags) noexcept {
  // clone, not clone3: the default seccomp profile, which may be on already, answers clone3 with ENOSYS.
  const long pid = ::syscall(SYS_clone, CLONE_PARENT | flags, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) return -1;
  if (pid == 0) return ::setsid() < 0 ? -1 : 0;  // the leader of the session stays behind
  const ChildFailure next{kReportStage, static_cast<int32_t>(pid)};
  (void)!::write(state.report, &next, sizeof next);
  ::syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

// A procfs of our own: what the container shows as /proc may be anything (R-09 of the threat table).
int MountProc() noexcept {
  const long context = ::syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  long mount = -1;
  if (::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    mount = ::syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  }
  const int error = errno;
  ::close(static_cast<int>(context));
  errno = error;
  return static_cast<int>(mount);
}

long OpenAttribute(int proc, const char* path) noexcept {
  open_how how{};
  how.flags = O_RDWR | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  return ::syscall(SYS_openat2, proc, path, &how, sizeof how);
}

// Of the time namespace that this process has made and enters with its next fork or execve (time_namespaces(7)).
int SetTimeOffsets(const char* text) noexcept {
  const int proc = MountProc();
  if (proc < 0) return -1;
  const long file = OpenAttribute(proc, "self/timens_offsets");
  const auto length = static_cast<ssize_t>(std::strlen(text));
  const ssize_t written = file < 0 ? -1 : ::write(static_cast<int>(file), text, static_cast<size_t>(length));
  const int error = written < 0 ? errno : EIO;
  if (file >= 0) ::close(static_cast<int>(file));
  ::close(proc);
  errno = error;
  return written == length ? 0 : -1;
}

// Writes and reads back: a label that was not taken must not go unnoticed.
int WriteLabel(int file, const char* label, bool app_armor) noexcept {
  char text[kMaxLabel + 8] = "";
  const size_t size = std::strlen(label);
  if (size == 0 || size > kMaxLabel) {
    errno = ENAMETOOLONG;
    return -1;
  }
  const size_t prefix = app_armor ? 5 : 0;
  std::memcpy(text, "exec ", prefix);
  std::memcpy(text + prefix, label, size);
  if (::write(file, text, prefix + size) < 0) return -1;
  const ssize_t count = ::pread(file, text, sizeof text, 0);
  if (count < 0) return -1;
  if (static_cast<size_t>(count) >= size && std::memcmp(text, label, size) == 0) return 0;
  errno = EPROTO;
  return -1;
}

// The label that the next execve takes on.
int SetSecurityLabel(const char* label, uint64_t module) noexcept {
  const int proc = MountProc();
  if (proc < 0) return -1;
  const bool app_armor = module == kAppArmor;
  long file = app_armor ? OpenAttribute(proc, "thread-self/attr/apparmor/exec") : -1;
  if (file < 0 && (!app_armor || errno == ENOENT)) file = OpenAttribute(proc, "thread-self/attr/exec");
  const int done = file < 0 ? -1 : WriteLabel(static_cast<int>(file), label, app_armor);
  const int error = errno;
  if (file >= 0) ::close(static_cast<int>(file));
  ::close(proc);
  errno = error;
  return done;
}

int SetMemoryPolicy(const PlanView& plan, const PlanStep& step) noexcept {
  const void* nodes = step.b == 0 ? nullptr : plan.Bytes(step.text);
  // The kernel takes one bit less than it is told (set_mempolicy(2), BUGS).
  return static_cast<int>(::syscall(SYS_set_mempolicy, step.a, nodes, step.b == 0 ? 0 : step.b * 64 + 1));
}

int SetRlimit(const PlanStep& step) noexcept {
  const rlimit limit{step.b, step.c};
  return ::setrlimit(static_cast<__rlimit_resource>(step.a), &limit);
}

}  // namespace

// Long because it is flat: one case a step.
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
      return LoadSeccomp(state, step);
    case Op::kStage:
      return Stage(state, step.a);
    case Op::kStdioOwner:
      return OwnStdio(static_cast<uid_t>(step.a), static_cast<gid_t>(step.b));
    case Op::kScheduler:
      return static_cast<int>(::syscall(SYS_sched_setattr, 0, state.plan.Bytes(step.text), 0));
    case Op::kIoPriority:
      return static_cast<int>(::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, step.a));
    case Op::kCpuAffinity:
      return ::syscall(SYS_sched_setaffinity, 0, step.a * sizeof(uint64_t), state.plan.Bytes(step.text)) < 0 ? -1 : 0;
    case Op::kPersonality:
      return ::personality(step.a) < 0 ? -1 : 0;
    case Op::kTimeOffsets:
      return SetTimeOffsets(text);
    case Op::kMemoryPolicy:
      return SetMemoryPolicy(state.plan, step);
    case Op::kDomainname:
      return ::setdomainname(text, std::strlen(text));
    case Op::kSecurityLabel:
      return SetSecurityLabel(text, step.a);
    default:
      errno = EINVAL;
      return -1;
  }
}

}  // namespace fermata::runtime
