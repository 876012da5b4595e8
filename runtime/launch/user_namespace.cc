#include "runtime/launch/user_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/clone.h"
#include "runtime/base/file.h"
#include "runtime/base/spawn.h"

namespace fermata::runtime {
namespace {

// In the child: lives until the parent has closed its end. System calls only.
[[noreturn]] void HoldUntilClosed(int pipe) {
  char byte;
  while (::read(pipe, &byte, 1) < 0 && errno == EINTR) {
  }
  ::syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

Result<> WriteMap(int process, const char* file, const std::string& map) {
  auto written = WriteControl(process, file, map);
  if (written || written.error().saved_errno() != EINVAL) return written;
  return std::move(written).error().WithCode(ErrorCode::kInvalidArgument);
}

Result<UniqueFd> MapAndOpen(pid_t pid, const std::string& uid_map, const std::string& gid_map) {
  // The host's own procfs, and a child that cannot end before we let it: the path means that process.
  ASSIGN_OR_RETURN(const UniqueFd process, OpenAt(AT_FDCWD, "/proc/" + std::to_string(pid), O_PATH | O_DIRECTORY));
  RETURN_IF_ERROR(WriteMap(process.get(), "uid_map", uid_map));
  RETURN_IF_ERROR(WriteMap(process.get(), "gid_map", gid_map));
  return OpenAt(process.get(), "ns/user", O_RDONLY);
}

}  // namespace

Result<UniqueFd> MakeUserNamespace(const std::string& uid_map, const std::string& gid_map) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::Errno("pipe");
  const UniqueFd read(ends[0]);
  UniqueFd write(ends[1]);
  auto cloned = ClonePlain({.flags = CLONE_NEWUSER});
  if (!cloned) return std::move(cloned).error().Wrap("make user namespace");
  if (cloned->pid == 0) {
    ::close(ends[1]);
    HoldUntilClosed(ends[0]);
  }
  auto opened = MapAndOpen(cloned->pid, uid_map, gid_map);
  write.Reset();
  (void)Reap(Pidfd(std::move(cloned->pidfd)));
  if (!opened) return std::move(opened).error().Wrap("make user namespace");
  return opened;
}

}  // namespace fermata::runtime
