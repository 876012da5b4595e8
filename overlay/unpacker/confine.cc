#include "overlay/unpacker/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <utility>

#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

#ifdef FERMATA_SANITIZED
constexpr bool kSanitized = true;  // their shadow memory is larger than any limit
#else
constexpr bool kSanitized = false;
#endif

constexpr rlim_t kMaxDescriptors = 64;

// What extraction needs: owners, modes, devices and file capabilities; SYS_ADMIN for trusted.overlay.* only, all else
// that it allows is a system call that the filter refuses.
constexpr unsigned kCapabilities[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER,   CAP_FSETID,
                                      CAP_MKNOD, CAP_SETFCAP,      CAP_SYS_ADMIN};

// Allowed whatever their arguments are; names that an architecture lacks are left out.
constexpr const char* kSystemCalls[] = {
    "read",          "pread64",         "write",           "writev",    "close",          "lseek",
    "fstat",         "newfstatat",      "statx",           "fstatfs",   "getdents64",     "ftruncate",
    "fallocate",     "sync_file_range", "fcntl",           "mkdirat",   "mknodat",        "symlinkat",
    "linkat",        "unlinkat",        "renameat",        "renameat2", "faccessat",      "faccessat2",
    "fchmod",        "fchmodat",        "fchown",          "fchownat",  "utimensat",      "fsetxattr",
    "munmap",        "mremap",          "madvise",         "brk",       "futex",          "getrandom",
    "clock_gettime", "gettid",          "geteuid",         "getpid",    "rt_sigprocmask", "rt_sigaction",
    "rt_sigreturn",  "tgkill",          "restart_syscall", "exit",      "exit_group"};

// The layer's directory becomes the only mount there is (pivot_root(2), NOTES). It is cloned first: a descriptor of the
// host's mount cannot be attached in a namespace of our own.
Result<UniqueFd> EnterLayer(UniqueFd layer_dir) {
  UniqueFd tree(::open_tree(layer_dir.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  if (!tree.valid()) return Error::Errno("open_tree");
  layer_dir.Reset();
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  attributes.propagation = MS_PRIVATE;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    return Error::Errno("mount_setattr");
  }
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) return Error::Errno("unshare");
  // What we attach and detach from here on is not to be seen by the host.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return Error::Errno("make / private");
  if (::move_mount(tree.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) return Error::Errno("move_mount");
  if (::fchdir(tree.get()) != 0) return Error::Errno("fchdir");
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return Error::Errno("pivot_root");
  if (::umount2(".", MNT_DETACH) != 0) return Error::Errno("umount old root");
  if (::chdir("/") != 0) return Error::Errno("chdir /");
  return OpenAt(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
}

Result<> SetLimits(uint64_t max_file_bytes) {
  const std::pair<__rlimit_resource, rlim_t> limits[] = {
      {RLIMIT_DATA, kSanitized ? RLIM_INFINITY : kUnpackerMemoryBytes},
      {RLIMIT_CPU, kUnpackerCpuSeconds},
      {RLIMIT_NOFILE, kMaxDescriptors},
      {RLIMIT_CORE, 0},
      {RLIMIT_FSIZE, max_file_bytes},
  };
  for (const auto& [resource, value] : limits) {
    const rlimit limit{value, value};
    if (::setrlimit(resource, &limit) != 0) return Error::Errno("setrlimit ", std::to_string(resource));
  }
  // A file that is too large is an error of a call then, and so is a reader that has gone.
  (void)std::signal(SIGXFSZ, SIG_IGN);
  (void)std::signal(SIGPIPE, SIG_IGN);
  return {};
}

Result<> DropPrivileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Error::Errno("no_new_privs");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Error::Errno("set not dumpable");
  uint64_t kept = 0;
  for (const unsigned capability : kCapabilities) kept |= uint64_t{1} << capability;
  // EINVAL: the first number that the kernel does not know.
  for (unsigned capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if ((kept >> capability & 1) == 0)
      (void)::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);  // without SETPCAP it is moot
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    data[half].effective = data[half].permitted = static_cast<uint32_t>(kept >> (32 * half));
  }
  if (::syscall(SYS_capset, &header, data) != 0) return Error::Errno("capset");
  return {};
}

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

Result<> Allow(const Filter& filter, const char* name, std::initializer_list<scmp_arg_cmp> conditions = {}) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number < 0) return {};
  const int failed = seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, number,
                                            static_cast<unsigned>(conditions.size()), conditions.begin());
  if (failed != 0) return Error::FromErrno(-failed, "seccomp rule for ", name);
  return {};
}

Result<> LoadFilter() {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)), &seccomp_release);
  if (filter == nullptr) return Error::Make(ErrorCode::kInternal, "seccomp_init");
  for (const char* name : kSystemCalls) RETURN_IF_ERROR(Allow(filter, name));
  // Below a descriptor only, so never AT_FDCWD: what a library would look for by path (configuration, modules of iconv
  // or of libcrypto) lies in the layer now.
  const scmp_arg_cmp by_descriptor = SCMP_A0(SCMP_CMP_MASKED_EQ, uint64_t{1} << 31, 0);
  for (const char* name : {"openat", "openat2"}) RETURN_IF_ERROR(Allow(filter, name, {by_descriptor}));
  const scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
  for (const char* name : {"mmap", "mprotect"}) RETURN_IF_ERROR(Allow(filter, name, {not_executable}));
  if (const int failed = seccomp_load(filter.get()); failed != 0) return Error::FromErrno(-failed, "seccomp_load");
  return {};
}

}  // namespace

Result<UniqueFd> Confine(UniqueFd layer_dir, uint64_t max_file_bytes) {
  ASSIGN_OR_RETURN(UniqueFd root, EnterLayer(std::move(layer_dir)), "confine");
  RETURN_IF_ERROR(SetLimits(max_file_bytes), "confine");
  RETURN_IF_ERROR(DropPrivileges(), "confine");
  RETURN_IF_ERROR(LoadFilter(), "confine");
  return root;
}

}  // namespace fermata::overlay
