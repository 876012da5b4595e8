// fermata-pause: holds a pod's namespaces. PID 1 where the pod has a PID namespace of its own: reaps what
// is orphaned there. Ends on TERM and INT; its one job is not to die before.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main() {
  prctl(PR_SET_NAME, "fermata-pause");  // executed from a descriptor: else the name would be its number
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal != SIGCHLD) _exit(0);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}
