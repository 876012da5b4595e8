// Cgroup: one control group v2, held by the descriptor of its directory. It does not own the group: destroying
// the object removes nothing and kills nobody. Immutable; any thread, also several at once.
//
// Because of the descriptor, a group of the same name made again later is never mistaken for this one: calls on
// a group that was removed fail with ENODEV or ENOENT in saved_errno(), except where said otherwise.
// Kernel: Documentation/admin-guide/cgroup-v2.rst, "Core Interface Files".
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::cgroups {

struct CreateOptions {
  // Controllers that the new group shall have: "cpu", "memory", ...
  std::vector<std::string> controllers;
  // Whose cgroup.subtree_control is ours to write: 0 the group that Create is called on and everything below,
  // 1 from the first component of the path on, and so on. The new group itself is never written: processes
  // live in it, and a group has processes or controllers for its children, not both.
  size_t owned_from_depth = 0;
};

// What cgroup.events says.
struct Events {
  bool populated = false;  // a living process in the group or below
  bool frozen = false;
};
Events ParseEvents(std::string_view text);

struct CreatedCgroup;

class Cgroup {
 public:
  Cgroup() = default;

  // By absolute path. kFailedPrecondition when that is no directory of a cgroup2 file system.
  static Result<Cgroup> Open(const std::string& path);
  // By a descriptor of its directory, unchecked: one inherited or received, or a test's directory.
  static Cgroup FromDirectory(UniqueFd directory);

  [[nodiscard]] int fd() const { return directory_.get(); }  // for CLONE_INTO_CGROUP too
  [[nodiscard]] std::string Path() const;                    // for messages

  // The group at a relative path below this one; never through links, never upwards.
  [[nodiscard]] Result<Cgroup> OpenBelow(const std::string& path) const;
  // Makes it where it is missing, with its ancestors. What was made stays when a later step fails: the
  // caller's undo is Remove.
  [[nodiscard]] Result<CreatedCgroup> Create(const std::string& path, const CreateOptions& options = {}) const;
  // Removes the group at a relative path with all groups below it, from the bottom up. Succeeds when there is
  // none. kFailedPrecondition (EBUSY) when a process lives in one of them: Kill and WaitEmpty come first.
  [[nodiscard]] Result<> Remove(const std::string& path) const;

  // Controllers that this group has: the words of cgroup.controllers.
  [[nodiscard]] Result<std::vector<std::string>> Controllers() const;

  // SIGKILL to every process here and below, also to those that fork at the same moment (cgroup.kill).
  [[nodiscard]] Result<> Kill() const;
  // Returns when every process here and below stands still, or runs again. kDeadlineExceeded: the kernel still
  // works on it; a process in an uninterruptible sleep delays it. Thaw undoes a Freeze that timed out.
  [[nodiscard]] Result<> Freeze(std::chrono::milliseconds timeout) const;
  [[nodiscard]] Result<> Thaw(std::chrono::milliseconds timeout) const;

  // Whether a living process is here or below; false for a group that was removed.
  [[nodiscard]] Result<bool> Populated() const;
  // Waits for it to become false; kDeadlineExceeded.
  [[nodiscard]] Result<> WaitEmpty(std::chrono::milliseconds timeout) const;

  // Process ids in this group itself, or in it and all groups below. Already old when returned. Processes of
  // other PID namespaces, which show as 0, are left out.
  [[nodiscard]] Result<std::vector<pid_t>> Processes() const;
  [[nodiscard]] Result<std::vector<pid_t>> ProcessesBelow() const;
  // Moves a process here. Slow (it waits for an RCU grace period): processes are born in their group instead.
  [[nodiscard]] Result<> AddProcess(pid_t pid) const;

 private:
  explicit Cgroup(UniqueFd directory) : directory_(std::move(directory)) {}
  [[nodiscard]] Result<> SetFrozen(bool frozen, std::chrono::milliseconds timeout) const;

  UniqueFd directory_;
};

struct CreatedCgroup {
  Cgroup cgroup;
  bool existed = false;                          // the group was there before
  std::vector<std::string> missing_controllers;  // asked for, but the group does not have them
};

}  // namespace fermata::cgroups
