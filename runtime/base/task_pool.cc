#include "runtime/base/task_pool.h"

#include <chrono>
#include <thread>

namespace fermata {
namespace {
constexpr auto kIdle = std::chrono::seconds(10);
}  // namespace

TaskPool::~TaskPool() { Drain(); }

void TaskPool::Drain() {
  std::unique_lock lock(mutex_);
  ending_ = true;
  work_.notify_all();
  gone_.wait(lock, [this] { return threads_ == 0; });
}

void TaskPool::Post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(work));
  if (queue_.size() <= idle_) {
    work_.notify_one();
    return;
  }
  ++threads_;
  std::thread([this] { Run(); }).detach();  // accounted for by threads_, which the destructor waits on
}

TaskPool::Load TaskPool::Now() const {
  const std::lock_guard lock(mutex_);
  return {queue_.size(), threads_, idle_};
}

void TaskPool::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!queue_.empty()) {
      const std::function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      work();
      lock.lock();
      continue;
    }
    if (ending_) break;
    ++idle_;
    const bool more = work_.wait_for(lock, kIdle, [this] { return ending_ || !queue_.empty(); });
    --idle_;
    if (!more) break;
  }
  if (--threads_ == 0) gone_.notify_all();
}

}  // namespace fermata
