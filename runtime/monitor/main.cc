// fermata-monitor: one a pod; started by fermatad from a sealed memory file with its descriptors at 3 to 6.
#include <unistd.h>

#include "runtime/monitor/monitor.h"

int main() {
  using fermata::UniqueFd;
  fermata::runtime::Monitor monitor({UniqueFd(3), UniqueFd(4), UniqueFd(5), UniqueFd(6)});
  const auto done = monitor.Run();
  if (done) return 0;
  (void)!::write(STDERR_FILENO, done.error().message().data(), done.error().message().size());
  return 1;
}
