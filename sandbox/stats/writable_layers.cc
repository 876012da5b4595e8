#include "sandbox/stats/writable_layers.h"

#include <linux/ioprio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace fermata::sandbox::stats {
namespace {

// For the calling thread: ioprio_set(2), setpriority(2). A machine that refuses is served at the normal priority.
void WorkWhenIdle() {
  (void)::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
}

}  // namespace

WritableLayers::WritableLayers(Measure measure, Options options, Clock clock)
    : measure_(std::move(measure)), options_(options), clock_(std::move(clock)), thread_([this] { Run(); }) {}

WritableLayers::~WritableLayers() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wanted_.notify_all();
  thread_.join();
}

std::optional<LayerUsage> WritableLayers::Get(const std::string& id) {
  const int64_t now = clock_().steady_ns;
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[id];
  if (!entry.queued && now >= entry.due_ns) {
    entry.queued = true;
    queue_.push_back(id);
    wanted_.notify_one();
  }
  return entry.usage;
}

void WritableLayers::Forget(const std::string& id) {
  const std::lock_guard lock(mutex_);
  entries_.erase(id);
}

void WritableLayers::ForgetAll() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
  queue_.clear();
}

void WritableLayers::Count(const std::string& id, std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  const int64_t begin = clock_().steady_ns;
  const auto stop = [&] {
    if (clock_().steady_ns - begin > options_.deadline.count()) return true;
    const std::lock_guard look(mutex_);
    return ending_ || !entries_.contains(id);
  };
  Result<LayerUsage> usage = measure_(id, stop);
  const Moment end = clock_();
  lock.lock();
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;  // removed meanwhile
  if (!usage && usage.error().code() == ErrorCode::kNotFound) {
    entries_.erase(found);
    return;
  }
  Entry& entry = found->second;
  entry.queued = false;
  entry.due_ns =
      end.steady_ns + std::max<int64_t>(options_.fresh.count(), (end.steady_ns - begin) * options_.rest_factor);
  if (!usage) return;  // the old count, with its time, is better than none
  entry.usage = std::move(usage).value();
  entry.usage->measured_at_ns = end.wall_ns;
}

void WritableLayers::Run() {
  WorkWhenIdle();
  std::unique_lock lock(mutex_);
  for (;;) {
    wanted_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (ending_) return;
    const std::string id = std::move(queue_.front());
    queue_.pop_front();
    if (entries_.contains(id)) Count(id, lock);
  }
}

std::string DeviceName(uint32_t major, uint32_t minor) {
  std::string numbers = std::to_string(major) + ":" + std::to_string(minor);
  char target[256];
  const ssize_t length = ::readlink(("/sys/dev/block/" + numbers).c_str(), target, sizeof target);
  if (length <= 0) return numbers;
  const std::string_view path(target, static_cast<size_t>(length));
  return "/dev/" + std::string(path.substr(path.rfind('/') + 1));
}

}  // namespace fermata::sandbox::stats
