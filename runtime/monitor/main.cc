// fermata-monitor: one a pod; forked from the zygote, which fermatad starts from a sealed memory file with its
// descriptors at 3 and 4.
#include <unistd.h>

#include "runtime/monitor/zygote.h"

namespace {

using namespace fermata;

Result<> Run() {
  runtime::Zygote zygote(UniqueFd(3), UniqueFd(4));
  ASSIGN_OR_RETURN(auto fds, zygote.Serve());
  if (!fds) return {};
  runtime::Monitor monitor(std::move(*fds));
  return monitor.Run();
}

}  // namespace

int main() {
  const Result<> done = Run();
  if (done) return 0;
  (void)!::write(STDERR_FILENO, done.error().message().data(), done.error().message().size());
  return 1;
}
