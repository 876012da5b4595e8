// CniWatch: the network that the configuration directory describes now, kept up to date by inotify(7) on a thread of
// its own. Thread-safe; its answers come from memory.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "sandbox/network/cni_config.h"

namespace fermata::sandbox {

class CniWatch {
 public:
  // Reads the directory once before it returns.
  static Result<std::unique_ptr<CniWatch>> Open(std::string directory);
  // From now on `changed` is called, on the watching thread, after every change.
  void Watch(std::function<void()> changed);
  // No more calls; what was read last stays.
  void End();
  ~CniWatch() { End(); }
  CniWatch(const CniWatch&) = delete;
  CniWatch& operator=(const CniWatch&) = delete;

  // kNotFound: nothing is configured.
  [[nodiscard]] Result<std::shared_ptr<const CniNetwork>> Current() const;

 private:
  CniWatch(std::string directory, UniqueFd inotify, UniqueFd end);
  void Load();
  // Watches the directory, or where that is missing the nearest one above it.
  void Rearm();
  void Run();

  const std::string directory_;
  const UniqueFd inotify_, end_;
  std::string watched_;  // the thread's
  int watch_ = -1;       // the thread's
  mutable std::mutex mutex_;
  Result<std::shared_ptr<const CniNetwork>> current_;  // guarded by mutex_
  std::function<void()> changed_;                      // set before the thread begins
  std::thread thread_;
};

}  // namespace fermata::sandbox
