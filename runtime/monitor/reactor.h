// Reactor: the daemon's one thread that reads from all monitors. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::runtime {

// Something that is told when its descriptor is readable. Called on the reactor's thread; must not block.
class Readable {
 public:
  Readable() = default;
  Readable(const Readable&) = delete;
  Readable& operator=(const Readable&) = delete;
  virtual ~Readable() = default;
  virtual void OnReadable() = 0;
};

class Reactor {
 public:
  static Result<std::unique_ptr<Reactor>> Start();
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // The reactor holds the receiver only while it calls it.
  Result<> Add(int fd, std::weak_ptr<Readable> receiver);
  void Remove(int fd);
  // Ends the thread: no receiver is called any more. Idempotent.
  void Stop();

 private:
  Reactor() = default;
  void Run();

  UniqueFd epoll_;
  UniqueFd wake_;     // eventfd that ends Run
  std::mutex mutex_;  // guards receivers_
  std::map<int, std::weak_ptr<Readable>> receivers_;
  std::thread thread_;
};

}  // namespace fermata::runtime
