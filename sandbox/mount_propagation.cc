#include "sandbox/mount_propagation.h"

#include <fcntl.h>

#include "runtime/base/file.h"

namespace fermata::sandbox {

std::string PropagationOf(std::string_view mountinfo, uint64_t mount_id) {
  const std::string wanted = std::to_string(mount_id) + " ";
  while (!mountinfo.empty()) {
    const size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    const std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    if (!line.starts_with(wanted)) continue;
    // The optional fields stand between the mount options and " - " (proc_pid_mountinfo(5)).
    const std::string_view fields = line.substr(0, line.find(" - "));
    if (fields.find(" shared:") != std::string_view::npos) return "shared";
    return fields.find(" master:") != std::string_view::npos ? "slave" : "private";
  }
  return "private";
}

Result<> CheckPropagation(const runtime::PathHelper& paths, const std::string& host_path, Propagation propagation) {
  if (propagation == Propagation::kPrivate) return {};
  ASSIGN_OR_RETURN(const runtime::PathAnswer answer, paths.Stat(host_path));
  if (answer.error == ENOENT) return {};
  if (answer.error != 0) {
    return Error::FromErrno(answer.error, "mount source ", host_path).WithCode(ErrorCode::kInvalidArgument);
  }
  ASSIGN_OR_RETURN(const std::string mountinfo, ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", size_t{64} << 20));
  const std::string kind = PropagationOf(mountinfo, answer.mount_id);
  if (kind == "shared" || (kind == "slave" && propagation == Propagation::kHostToContainer)) return {};
  return Error::Make(ErrorCode::kInvalidArgument, "mount source ", host_path, ": is on a ", kind, " mount; ",
                     propagation == Propagation::kBidirectional
                         ? "bidirectional propagation needs a shared one"
                         : "propagation from the host needs a shared or slave one");
}

}  // namespace fermata::sandbox
