// EventLoop: epoll over descriptors with a callback each. One thread, one event at a time, so that a
// callback may remove any descriptor, also one that is ready. Does not own the descriptors.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <map>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::runtime {

class EventLoop {
 public:
  using Callback = std::function<void(uint32_t events)>;

  Result<> Open();
  // `events`: EPOLLIN, EPOLLOUT, EPOLLPRI. A descriptor may be added once.
  Result<> Add(int fd, uint32_t events, Callback callback);
  void Modify(int fd, uint32_t events);
  void Remove(int fd);
  // Runs until Stop().
  void Run();
  void Stop() { running_ = false; }

 private:
  UniqueFd epoll_;
  std::map<int, Callback> callbacks_;
  bool running_ = true;
};

}  // namespace fermata::runtime
