// ChangeNotifier: tells everybody who listens that something about the pods has changed. Thread-safe; Notify
// never blocks.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>
#include <set>

#include "runtime/base/unique_fd.h"

namespace fermata::sandbox::pods {

class ChangeNotifier {
 public:
  // Readable after a change; owned by who listens, unregistered when destroyed.
  class Listener {
   public:
    explicit Listener(ChangeNotifier& notifier) : notifier_(notifier), fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
      const std::lock_guard lock(notifier_.mutex_);
      notifier_.listeners_.insert(fd_.get());
    }
    ~Listener() {
      const std::lock_guard lock(notifier_.mutex_);
      notifier_.listeners_.erase(fd_.get());
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    [[nodiscard]] int fd() const { return fd_.get(); }
    // Takes the changes that have been told; call before looking at the state.
    void Clear() const {
      uint64_t count = 0;
      (void)!::read(fd_.get(), &count, sizeof count);
    }
    // Wakes this one listener.
    void Wake() const {
      const uint64_t one = 1;
      (void)!::write(fd_.get(), &one, sizeof one);
    }

   private:
    ChangeNotifier& notifier_;
    UniqueFd fd_;
  };

  void Notify() {
    const uint64_t one = 1;
    const std::lock_guard lock(mutex_);
    for (const int fd : listeners_) (void)!::write(fd, &one, sizeof one);
  }

 private:
  std::mutex mutex_;  // guards listeners_
  std::set<int> listeners_;
};

}  // namespace fermata::sandbox::pods
