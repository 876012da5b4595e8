// TaskPool: runs work that may block, on threads that come as they are needed and leave when idle. So a wait
// never holds a thread that something else needs. Thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

namespace fermata {

class TaskPool {
 public:
  TaskPool() = default;
  // Waits for all work that was posted.
  ~TaskPool();
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  void Post(std::function<void()> work);
  // Waits for all work that was posted; what is posted later runs too, but nobody waits for it but the destructor.
  void Drain();

  struct Load {
    size_t queued = 0;  // that no thread has taken yet
    size_t threads = 0, idle_threads = 0;
  };
  [[nodiscard]] Load Now() const;

 private:
  void Run();

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable work_, gone_;
  std::deque<std::function<void()>> queue_;
  size_t idle_ = 0;
  size_t threads_ = 0;
  bool ending_ = false;
};

}  // namespace fermata
