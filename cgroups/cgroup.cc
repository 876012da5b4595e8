#include "cgroups/cgroup.h"

#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

#include "cgroups/internal.h"
#include "runtime/base/file.h"

namespace fermata::cgroups {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

constexpr char kControllersFile[] = "cgroup.controllers";
constexpr char kSubtreeControlFile[] = "cgroup.subtree_control";
constexpr char kEventsFile[] = "cgroup.events";
constexpr char kFreezeFile[] = "cgroup.freeze";
constexpr char kKillFile[] = "cgroup.kill";
constexpr char kProcsFile[] = "cgroup.procs";

bool Contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// The file's answer once the group is gone: ENODEV for an open file, ENOENT for one not yet open.
bool IsGone(const Error& error) { return error.saved_errno() == ENODEV || error.saved_errno() == ENOENT; }

// The components of a relative path. Only plain names: what may not be asked for has no good meaning here.
Result<std::vector<std::string>> Components(const std::string& path) {
  std::vector<std::string> names;
  for (const std::string_view name : Split(path, '/')) {
    const bool plain = !name.empty() && name != "." && name != ".." && name.find('\0') == std::string_view::npos;
    if (!plain) return Error::Make(ErrorCode::kInvalidArgument, "control group path \"", path, "\": bad component");
    names.emplace_back(name);
  }
  if (names.empty()) return Error::Make(ErrorCode::kInvalidArgument, "control group path is empty");
  return names;
}

Result<std::vector<std::string>> ReadWords(int directory, const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(directory, file));
  std::vector<std::string> words;
  for (const std::string_view word : Split(Trim(text), ' ')) {
    if (!word.empty()) words.emplace_back(word);
  }
  return words;
}

// Hands the wanted controllers that `directory` has on to its children. One write each: when one is refused,
// the error names it.
Result<> EnableForChildren(int directory, const std::vector<std::string>& wanted) {
  if (wanted.empty()) return {};
  ASSIGN_OR_RETURN(const std::vector<std::string> available, ReadWords(directory, kControllersFile));
  ASSIGN_OR_RETURN(const std::vector<std::string> enabled, ReadWords(directory, kSubtreeControlFile));
  for (const std::string& controller : wanted) {
    if (!Contains(available, controller) || Contains(enabled, controller)) continue;
    RETURN_IF_ERROR(WriteControl(directory, kSubtreeControlFile, "+" + controller), "enable controller ", controller,
                    " in ", PathOf(directory));
  }
  return {};
}

Result<> RemoveDirectory(int parent, const std::string& name) {
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  const int number = errno;
  const Error error = Error::FromErrno(number, "remove control group ", PathOf(parent), "/", name);
  if (number != EBUSY) return error;
  return Error(ErrorCode::kFailedPrecondition, error.message(), number);
}

// The walk of Remove holds one descriptor, not one a level, and goes up by "..": a tenant with a delegated
// group may have made thousands of levels. cgroup2 knows no rename, so ".." cannot lead elsewhere.
struct Level {
  std::string name;
  std::vector<std::string> children;  // still to remove
};

Result<> RemoveTreeOfGroups(UniqueFd current, const std::string& name) {
  std::vector<Level> levels{{"", {name}}};
  for (;;) {
    Level& level = levels.back();
    if (level.children.empty()) {
      if (levels.size() == 1) return {};
      ASSIGN_OR_RETURN(current, OpenAt(current.get(), "..", kDirectoryFlags));
      RETURN_IF_ERROR(RemoveDirectory(current.get(), level.name));
      levels.pop_back();
      continue;
    }
    std::string child = std::move(level.children.back());
    level.children.pop_back();
    auto opened = OpenAt(current.get(), child, kDirectoryFlags);
    if (!opened && IsGone(opened.error())) continue;
    if (!opened) return std::move(opened).error();
    ASSIGN_OR_RETURN(std::vector<std::string> children, ChildDirectories(opened->get()));
    levels.push_back({std::move(child), std::move(children)});
    current = std::move(opened).value();
  }
}

// False at the deadline. EINTR counts as a change: the caller reads again.
Result<bool> WaitChange(int events, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  if (left <= 0) return false;
  // kernfs reports a change since the last read as POLLPRI.
  pollfd poll_fd{events, POLLPRI, 0};
  if (::poll(&poll_fd, 1, static_cast<int>(std::min<int64_t>(left, 1 << 30))) < 0 && errno != EINTR) {
    return Error::Errno("poll ", kEventsFile);
  }
  return true;
}

// Waits until `wanted` holds of cgroup.events. A removed group has nothing populated.
template <typename Wanted>
Result<> WaitEvents(int directory, std::string_view what, std::chrono::milliseconds timeout, Wanted wanted) {
  const Clock::time_point deadline = Clock::now() + timeout;
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(directory, kEventsFile, O_RDONLY));
  for (;;) {
    if (::lseek(fd.get(), 0, SEEK_SET) < 0) return Error::Errno("seek ", kEventsFile);
    ASSIGN_OR_RETURN(const std::string text, ReadAll(fd.get()), kEventsFile);
    if (wanted(ParseEvents(text))) return {};
    ASSIGN_OR_RETURN(const bool again, WaitChange(fd.get(), deadline));
    if (!again) {
      return Error::Make(ErrorCode::kDeadlineExceeded, "wait for ", PathOf(directory), " to be ", what, ": not after ",
                         std::to_string(timeout.count()), " ms");
    }
  }
}

Result<> AppendProcesses(int directory, std::vector<pid_t>& pids) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(directory, kProcsFile));
  for (const std::string_view line : Split(text, '\n')) {
    pid_t pid = 0;
    std::from_chars(line.data(), line.data() + line.size(), pid);
    if (pid > 0) pids.push_back(pid);
  }
  return {};
}

// kernfs counts a link for each group below, besides the two of every directory: without any, the listing of all
// control files is spared, which is most of what this costs. False where another file system does not count so.
bool IsLeaf(int directory) {
  struct stat status {};
  return ::fstat(directory, &status) == 0 && status.st_nlink == 2;
}

// Groups that vanish meanwhile and threaded ones (EOPNOTSUPP) contribute nothing. Recursive, because a tree
// deeper than kMaxDepth is nobody's honest one.
Result<> AppendProcessesBelow(int directory, int depth, std::vector<pid_t>& pids) {
  constexpr int kMaxDepth = 64;
  if (auto read = AppendProcesses(directory, pids); !read) {
    if (!IsGone(read.error()) && read.error().saved_errno() != EOPNOTSUPP) return read;
  }
  if (depth >= kMaxDepth || IsLeaf(directory)) return {};
  ASSIGN_OR_RETURN(const std::vector<std::string> children, ChildDirectories(directory));
  for (const std::string& child : children) {
    auto opened = OpenAt(directory, child, kDirectoryFlags);
    if (!opened && IsGone(opened.error())) continue;
    if (!opened) return std::move(opened).error();
    RETURN_IF_ERROR(AppendProcessesBelow(opened->get(), depth + 1, pids));
  }
  return {};
}

}  // namespace

Events ParseEvents(std::string_view text) {
  Events events;
  for (const std::string_view line : Split(text, '\n')) {
    if (line == "populated 1") events.populated = true;
    if (line == "frozen 1") events.frozen = true;
  }
  return events;
}

Result<Cgroup> Cgroup::Open(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd directory, OpenAt(AT_FDCWD, path, kDirectoryFlags), "control group");
  struct statfs status {};
  if (::fstatfs(directory.get(), &status) != 0) return Error::Errno("statfs ", path);
  if (status.f_type != CGROUP2_SUPER_MAGIC) {
    return Error::Make(ErrorCode::kFailedPrecondition, "control group ", path, ": is not in a cgroup2 file system");
  }
  return Cgroup(std::move(directory));
}

Cgroup Cgroup::FromDirectory(UniqueFd directory) { return Cgroup(std::move(directory)); }

std::string Cgroup::Path() const { return PathOf(fd()); }

Result<Cgroup> Cgroup::OpenBelow(const std::string& path) const {
  RETURN_IF_ERROR(Components(path));
  ASSIGN_OR_RETURN(UniqueFd directory, OpenBeneath(fd(), path, kDirectoryFlags), "control group");
  return Cgroup(std::move(directory));
}

Result<CreatedCgroup> Cgroup::Create(const std::string& path, const CreateOptions& options) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, Components(path));
  ASSIGN_OR_RETURN(UniqueFd current, OpenAt(fd(), ".", kDirectoryFlags));
  CreatedCgroup created;
  for (size_t depth = 0; depth < names.size(); ++depth) {
    if (depth >= options.owned_from_depth) {
      RETURN_IF_ERROR(EnableForChildren(current.get(), options.controllers), "create control group ", path);
    }
    const int failure = ::mkdirat(current.get(), names[depth].c_str(), 0755) == 0 ? 0 : errno;
    if (failure != 0 && failure != EEXIST) return Error::FromErrno(failure, "create control group ", Path(), "/", path);
    created.existed = failure == EEXIST;
    ASSIGN_OR_RETURN(current, OpenAt(current.get(), names[depth], kDirectoryFlags), "create control group ", path);
  }
  created.cgroup = Cgroup(std::move(current));
  if (options.controllers.empty()) return created;
  ASSIGN_OR_RETURN(const std::vector<std::string> available, created.cgroup.Controllers());
  for (const std::string& controller : options.controllers) {
    if (!Contains(available, controller)) created.missing_controllers.push_back(controller);
  }
  return created;
}

Result<> Cgroup::Remove(const std::string& path) const {
  ASSIGN_OR_RETURN(std::vector<std::string> names, Components(path));
  const std::string name = std::move(names.back());
  const std::string parent_path = path.substr(0, path.size() - name.size());
  auto parent = OpenBeneath(fd(), parent_path.empty() ? "." : parent_path, kDirectoryFlags);
  if (!parent && IsGone(parent.error())) return {};
  if (!parent) return std::move(parent).error().Wrap("remove control group ", path);
  // Nearly always there is nothing below; the kernel says EBUSY both for processes and for child groups.
  if (::unlinkat(parent->get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return RemoveTreeOfGroups(std::move(parent).value(), name);
}

Result<std::vector<std::string>> Cgroup::Controllers() const { return ReadWords(fd(), kControllersFile); }

Result<> Cgroup::Kill() const {
  RETURN_IF_ERROR(WriteControl(fd(), kKillFile, "1"), "kill ", Path());
  return {};
}

Result<> Cgroup::Freeze(std::chrono::milliseconds timeout) const { return SetFrozen(true, timeout); }

Result<> Cgroup::Thaw(std::chrono::milliseconds timeout) const { return SetFrozen(false, timeout); }

Result<> Cgroup::SetFrozen(bool frozen, std::chrono::milliseconds timeout) const {
  RETURN_IF_ERROR(WriteControl(fd(), kFreezeFile, frozen ? "1" : "0"), frozen ? "freeze " : "thaw ", Path());
  return WaitEvents(fd(), frozen ? "frozen" : "thawed", timeout,
                    [frozen](const Events& events) { return events.frozen == frozen; });
}

Result<bool> Cgroup::Populated() const {
  auto text = ReadFileAt(fd(), kEventsFile);
  if (!text && IsGone(text.error())) return false;
  if (!text) return std::move(text).error();
  return ParseEvents(*text).populated;
}

Result<> Cgroup::WaitEmpty(std::chrono::milliseconds timeout) const {
  auto waited = WaitEvents(fd(), "empty", timeout, [](const Events& events) { return !events.populated; });
  if (!waited && IsGone(waited.error())) return {};
  return waited;
}

Result<std::vector<pid_t>> Cgroup::Processes() const {
  std::vector<pid_t> pids;
  RETURN_IF_ERROR(AppendProcesses(fd(), pids));
  return pids;
}

Result<std::vector<pid_t>> Cgroup::ProcessesBelow() const {
  std::vector<pid_t> pids;
  RETURN_IF_ERROR(AppendProcessesBelow(fd(), 0, pids));
  return pids;
}

Result<> Cgroup::AddProcess(pid_t pid) const {
  RETURN_IF_ERROR(WriteControl(fd(), kProcsFile, std::to_string(pid)), "join ", Path());
  return {};
}

}  // namespace fermata::cgroups
