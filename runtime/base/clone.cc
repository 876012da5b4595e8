#include "runtime/base/clone.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

namespace fermata {
namespace {

clone_args Arguments(const CloneOptions& options, int* pidfd) {
  clone_args arguments{};
  arguments.flags = options.flags | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uintptr_t>(pidfd);
  // With CLONE_PARENT the kernel takes the caller's own and refuses to be told one.
  arguments.exit_signal = (options.flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  if (options.cgroup_fd >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(options.cgroup_fd);
  }
  return arguments;
}

// Inline, not through syscall(3): with CLONE_VM the child would return into the caller's frame.
// The child begins on its own stack, so all it needs stands in registers, which the kernel keeps.
#if defined(__x86_64__)
long CloneOnStack(clone_args* arguments, int (*run)(void*), void* argument) {
  long result = SYS_clone3;
  register auto function asm("r12") = run;
  register void* value asm("r13") = argument;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "mov %%eax, %%edi\n\t"
      "mov %[exit], %%eax\n\t"
      "syscall\n\t"
      "hlt\n"
      "1:"
      : "+a"(result)
      : "D"(arguments), "S"(sizeof *arguments), "r"(function), "r"(value), [exit] "i"(SYS_exit)
      : "rcx", "r11", "memory", "cc");
  return result;
}
#elif defined(__aarch64__)
long CloneOnStack(clone_args* arguments, int (*run)(void*), void* argument) {
  register long x8 asm("x8") = SYS_clone3;
  register long x0 asm("x0") = reinterpret_cast<long>(arguments);
  register long x1 asm("x1") = sizeof *arguments;
  register auto function asm("x19") = run;
  register void* value asm("x20") = argument;
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, #0\n\t"
      "mov x0, x20\n\t"
      "blr x19\n\t"
      "mov x8, %[exit]\n\t"
      "svc #0\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(function), "r"(value), [exit] "i"(SYS_exit)
      : "memory", "cc");
  return x0;
}
#endif

}  // namespace

Result<ClonedProcess> ClonePlain(const CloneOptions& options) {
  int pidfd = -1;
  clone_args arguments = Arguments(options, &pidfd);
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return Error::Errno("clone3");
  return ClonedProcess{static_cast<pid_t>(pid), UniqueFd(pid == 0 ? -1 : pidfd)};
}

Result<ClonedProcess> CloneVfork(const CloneOptions& options, void* stack, size_t stack_bytes, int (*run)(void*),
                                 void* argument) {
  int pidfd = -1;
  clone_args arguments = Arguments(options, &pidfd);
  arguments.flags |= CLONE_VM | CLONE_VFORK;
  arguments.stack = reinterpret_cast<uintptr_t>(stack);
  arguments.stack_size = stack_bytes;
  const long pid = CloneOnStack(&arguments, run, argument);
  if (pid < 0) return Error::FromErrno(static_cast<int>(-pid), "clone3");
  return ClonedProcess{static_cast<pid_t>(pid), UniqueFd(pidfd)};
}

}  // namespace fermata
