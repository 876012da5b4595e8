// Signals of a process that was just cloned and is about to execute something else. Async-signal-safe: for spawn.cc and
// the child script, where nothing but system calls is allowed.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

namespace fermata {

// Default dispositions and an empty mask. By the raw calls: glibc keeps 32 and 33 for itself and its sigaction refuses
// them, but some ancestor may have left them ignored, and that is inherited by every container (SigIgn).
inline void ResetSignals() noexcept {
  constexpr int kSignalCount = 64;
  struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)();
    unsigned long mask;
  } action{SIG_DFL, 0, nullptr, 0};
  for (int signal = 1; signal <= kSignalCount; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    ::syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof action.mask);
  }
  const unsigned long none = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
}

}  // namespace fermata
