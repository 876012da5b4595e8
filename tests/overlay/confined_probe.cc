// confined_probe: confines itself to the directory that is descriptor 3, as fermata-unpack does, and tries what should
// be refused then. Writes "confined" and a line for each thing that was not refused; exit status 0 if there was none.
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "overlay/unpacker/confine.h"
#include "runtime/base/file.h"

namespace fermata::overlay {
namespace {

int refused_wrongly = 0;

void Say(const std::string& line) { (void)WriteAll(STDOUT_FILENO, line + "\n"); }

void ExpectRefused(const char* what, long result) {
  if (result < 0 && (errno == EPERM || errno == EACCES)) return;
  ++refused_wrongly;
  Say(std::string(what) + (result < 0 ? ": errno " + std::to_string(errno) : ": allowed"));
}

void ExpectGone(const char* what, const Result<UniqueFd>& opened) {
  if (!opened && opened.error().saved_errno() == ENOENT) return;
  ++refused_wrongly;
  Say(std::string(what) + (opened ? ": opened" : ": " + opened.error().message()));
}

// Below a descriptor paths can be opened, but the host is nowhere.
void TryPaths(int root) {
  ExpectRefused("open /etc/passwd", ::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  ExpectRefused("open by openat2", OpenInRoot(AT_FDCWD, "/etc/passwd", O_RDONLY) ? 0 : -1);
  ExpectGone("/etc/passwd by a descriptor", OpenAt(root, "/etc/passwd", O_RDONLY));
  ExpectGone("../../etc/passwd", OpenAt(root, "../../../../../../etc/passwd", O_RDONLY));
  ExpectGone("/proc", OpenAt(root, "/proc/self", O_RDONLY));
  ExpectGone("/dev/null", OpenAt(root, "/dev/null", O_RDONLY));
  const auto file = OpenAt(root, "made-inside", O_WRONLY | O_CREAT, 0600);
  if (!file || !WriteAll(file->get(), "yes")) ExpectRefused("write in the layer", 0);
}

void TryNamespacesAndMounts(int root) {
  ExpectRefused("mount", ::mount("tmpfs", "/", "tmpfs", 0, nullptr));
  ExpectRefused("umount", ::umount2("/", MNT_DETACH));
  ExpectRefused("open_tree", ::syscall(SYS_open_tree, root, "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
  ExpectRefused("fsopen", ::syscall(SYS_fsopen, "proc", 0));
  ExpectRefused("move_mount", ::syscall(SYS_move_mount, root, "", root, "", MOVE_MOUNT_F_EMPTY_PATH));
  ExpectRefused("pivot_root", ::syscall(SYS_pivot_root, ".", "."));
  ExpectRefused("chroot", ::chroot("."));
  ExpectRefused("chdir", ::chdir("."));
  ExpectRefused("unshare", ::unshare(CLONE_NEWNS));
  ExpectRefused("unshare user", ::unshare(CLONE_NEWUSER));
  ExpectRefused("setns", ::setns(root, 0));
  ExpectRefused("clone", ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  ExpectRefused("clone3", ::syscall(SYS_clone3, nullptr, 0));
}

void TryOtherCalls(int root) {
  char* const argv[] = {const_cast<char*>("x"), nullptr};
  ExpectRefused("execve", ::execve("/made-inside", argv, argv + 1));
  ExpectRefused("execveat", ::syscall(SYS_execveat, root, "made-inside", argv, argv + 1, 0));
  for (const int family : {AF_UNIX, AF_INET, AF_NETLINK}) {
    ExpectRefused("socket", ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  }
  int pair[2];
  ExpectRefused("socketpair", ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
  ExpectRefused("ptrace", ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr));
  bpf_attr attributes{};
  ExpectRefused("bpf", ::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes));
  ExpectRefused("io_uring", ::syscall(SYS_io_uring_setup, 1, nullptr));
  ExpectRefused("keyctl", ::syscall(SYS_keyctl, 0, 0, 0, 0, 0));
  ExpectRefused("kill", ::kill(1, 0));
  ExpectRefused("open_by_handle_at", ::syscall(SYS_open_by_handle_at, root, nullptr, O_RDONLY));
  ExpectRefused("process_vm_readv", ::syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0));
  ExpectRefused("memfd_create", ::memfd_create("x", MFD_CLOEXEC));
  ExpectRefused("sethostname", ::sethostname("x", 1));
  ExpectRefused("setuid", ::syscall(SYS_setuid, 1000));
  void* code = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ExpectRefused("executable memory", code == MAP_FAILED ? -1 : 0);
}

int Run() {
  const auto root = Confine(UniqueFd(3), uint64_t{1} << 20);
  if (!root) {
    Say(root.error().message());
    return 1;
  }
  TryPaths(root->get());
  TryNamespacesAndMounts(root->get());
  TryOtherCalls(root->get());
  void* memory = ::mmap(nullptr, 600 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) ExpectRefused("memory over the limit", 0);
  const std::string large(2 << 20, 'x');
  const auto file = OpenAt(root->get(), "large", O_WRONLY | O_CREAT, 0600);
  const auto written = file ? WriteAll(file->get(), large) : Result<>();
  if (!file || written || written.error().saved_errno() != EFBIG) ExpectRefused("a file over the limit", 0);
  Say("confined");
  return refused_wrongly == 0 ? 0 : 1;
}

}  // namespace
}  // namespace fermata::overlay

int main() { ::_exit(fermata::overlay::Run()); }
