// fermata-pause: holds a pod's namespaces. PID 1 where the pod has a PID namespace of its own: reaps what
// is orphaned there. Ends on TERM and INT; its one job is not to die before.
//
// Without libc: the start-up of a static glibc asks the processor about itself some sixty times, and on a virtual
// machine each question is an exit to the hypervisor. Every pod would pay 0.7 ms and 40 KB for it.
#include <asm/unistd.h>
#include <linux/prctl.h>
#include <linux/signal.h>

namespace {

long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0) noexcept {
#if defined(__x86_64__)
  long result = number;
  register long r10 asm("r10") = d;
  asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
#else
#error "pause knows x86_64 and aarch64"
#endif
}

long Address(const void* value) noexcept { return reinterpret_cast<long>(value); }

constexpr unsigned long Bit(int signal) { return 1UL << (signal - 1); }

[[noreturn]] void Hold() noexcept {
  constexpr long kNoHang = 1;  // WNOHANG of waitpid(2)
  // Executed from a descriptor: else the name would be its number.
  Call(__NR_prctl, PR_SET_NAME, Address("fermata-pause"));
  const unsigned long signals = Bit(SIGCHLD) | Bit(SIGTERM) | Bit(SIGINT);
  Call(__NR_rt_sigprocmask, SIG_BLOCK, Address(&signals), 0, sizeof signals);
  for (;;) {
    const long signal = Call(__NR_rt_sigtimedwait, Address(&signals), 0, 0, sizeof signals);
    if (signal == SIGTERM || signal == SIGINT) Call(__NR_exit_group, 0);
    while (Call(__NR_wait4, -1, 0, kNoHang) > 0) {
    }
  }
}

}  // namespace

// The kernel enters with an aligned stack, a caller would have pushed an address.
#if defined(__x86_64__)
extern "C" [[noreturn, gnu::force_align_arg_pointer]] void _start() { Hold(); }
#else
extern "C" [[noreturn]] void _start() { Hold(); }
#endif
