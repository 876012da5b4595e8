#include "sandbox/stats/sampler.h"

#include <algorithm>

#include "runtime/base/file.h"

namespace fermata::sandbox::stats {
namespace {

constexpr uint64_t kNanosecondsOfMicrosecond = 1000;

}  // namespace

Result<Sampler::EntryPtr> Sampler::Open(const GroupName& group) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(group.id); found != entries_.end()) return found->second;
  }
  auto cgroup = mount_.OpenBelow(group.path);
  if (!cgroup) {
    const bool missing = cgroup.error().saved_errno() == ENOENT;
    return missing ? std::move(cgroup).error().WithCode(ErrorCode::kNotFound) : std::move(cgroup).error();
  }
  auto entry = std::make_shared<Entry>();
  entry->cgroup = std::move(cgroup).value();
  const std::lock_guard lock(mutex_);
  return entries_.try_emplace(group.id, std::move(entry)).first->second;  // two at once: the first one counts
}

// A group that was removed and made again has another directory: then once more.
template <typename Read>
auto Sampler::ReadGroup(const GroupName& group, Read read) -> decltype(read(std::declval<Entry&>())) {
  {
    ASSIGN_OR_RETURN(const EntryPtr entry, Open(group));
    auto result = read(*entry);
    if (result || result.error().code() != ErrorCode::kNotFound) return result;
  }
  Forget(group.id);
  ASSIGN_OR_RETURN(const EntryPtr entry, Open(group));
  return read(*entry);
}

Result<GroupSample> Sampler::Sample(const GroupName& group) {
  return ReadGroup(group, [this](Entry& entry) -> Result<GroupSample> {
    const Moment moment = clock_();
    GroupSample sample;
    ASSIGN_OR_RETURN(sample.stats, cgroups::Read(entry.cgroup));
    sample.stats.timestamp_ns = moment.wall_ns;
    if (!sample.stats.cpu) return sample;
    const std::lock_guard lock(entry.mutex);
    sample.usage_nano_cores =
        entry.rate.Update(sample.stats.cpu->usage_us * kNanosecondsOfMicrosecond, moment.steady_ns);
    return sample;
  });
}

Result<cgroups::Details> Sampler::Details(const GroupName& group) {
  return ReadGroup(group, [](Entry& entry) { return cgroups::ReadDetails(entry.cgroup); });
}

Result<cgroups::Contention> Sampler::Contention(const GroupName& group) {
  return ReadGroup(group, [](Entry& entry) { return cgroups::ReadContention(entry.cgroup); });
}

Result<ProcessCounts> Sampler::Processes(const GroupName& group, ProcessDetail detail) {
  return ReadGroup(group, [detail](Entry& entry) -> Result<ProcessCounts> {
    ASSIGN_OR_RETURN(const std::vector<pid_t> pids, entry.cgroup.ProcessesBelow());
    return CountProcesses(pids, detail);
  });
}

// The number of a process may be another's by now. The descriptor comes first: if the number is in the group after
// that, it is the one that was opened, or that one has ended and its descriptor reads nothing.
Result<std::vector<Interface>> Sampler::Interfaces(const GroupName& group, int pid) {
  std::shared_ptr<const UniqueFd> process;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = processes_.find(group.id); found != processes_.end()) process = found->second;
  }
  if (process == nullptr) {
    auto opened = OpenAt(AT_FDCWD, "/proc/" + std::to_string(pid), O_RDONLY | O_DIRECTORY);
    if (!opened) return std::move(opened).error().WithCode(ErrorCode::kNotFound);
    process = std::make_shared<const UniqueFd>(std::move(opened).value());
    ASSIGN_OR_RETURN(const cgroups::Cgroup cgroup, mount_.OpenBelow(group.path));
    ASSIGN_OR_RETURN(const std::vector<pid_t> pids, cgroup.Processes());
    if (std::find(pids.begin(), pids.end(), pid) == pids.end()) {
      return Error::Make(ErrorCode::kNotFound, "process ", std::to_string(pid), " is not in ", group.path);
    }
    const std::lock_guard lock(mutex_);
    processes_[group.id] = process;
  }
  auto interfaces = ReadInterfaces(process->get());
  if (!interfaces) {
    const std::lock_guard lock(mutex_);
    processes_.erase(group.id);
  }
  return interfaces;
}

// What was held is closed without the lock.
void Sampler::Forget(const std::string& id) {
  EntryPtr entry;
  std::shared_ptr<const UniqueFd> process;
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(id); found != entries_.end()) {
    entry = std::move(found->second);
    entries_.erase(found);
  }
  if (const auto found = processes_.find(id); found != processes_.end()) {
    process = std::move(found->second);
    processes_.erase(found);
  }
}

void Sampler::ForgetAll() {
  decltype(entries_) entries;
  decltype(processes_) processes;
  const std::lock_guard lock(mutex_);
  entries.swap(entries_);
  processes.swap(processes_);
}

size_t Sampler::held() const {
  const std::lock_guard lock(mutex_);
  return entries_.size() + processes_.size();
}

}  // namespace fermata::sandbox::stats
