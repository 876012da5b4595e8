#include "runtime/helper/path_helper.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "runtime/base/file.h"
#include "runtime/base/spawn.h"

namespace fermata::runtime {

Result<PathAnswer> PathHelper::Ask(const char* what, const std::string& path) const {
  std::unique_ptr<overlay::HelperGroup> group;  // ends what is left in it
  if (make_group_) {
    ASSIGN_OR_RETURN(group, make_group_());
  }
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::Errno("pipe");
  const UniqueFd answer_end(ends[0]);
  UniqueFd helper_end(ends[1]);
  ASSIGN_OR_RETURN(const UniqueFd null, OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  SpawnOptions options;
  options.executable_fd = program_.get();
  options.arguments = {"fermata-helper", what, path};
  options.fds = {{null.get(), 0}, {helper_end.get(), 1}, {null.get(), 2}};
  options.cgroup_fd = group ? group->fd() : -1;
  ASSIGN_OR_RETURN(const SpawnedProcess process, Spawn(options));
  helper_end.Reset();
  if (!process.pidfd.WaitExited(static_cast<int>(deadline_.count()))) {
    (void)process.pidfd.Signal(SIGKILL);
    // In an uninterruptible sleep it dies later, and is reaped by whoever is our parent then; nobody waits for it.
    if (process.pidfd.WaitExited(100)) (void)Reap(process.pidfd);
    return Error::Make(ErrorCode::kDeadlineExceeded, "look at ", path, ": no answer in ",
                       std::to_string(deadline_.count() / 1000), " seconds; its file system does not respond");
  }
  ASSIGN_OR_RETURN(const int code, Reap(process.pidfd));
  PathAnswer answer;
  if (code != 0 || ::read(answer_end.get(), &answer, sizeof answer) != sizeof answer) {
    return Error::Make(ErrorCode::kInternal, "look at ", path, ": the helper ended with ", std::to_string(code));
  }
  return answer;
}

}  // namespace fermata::runtime
