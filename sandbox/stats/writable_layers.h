// WritableLayers: bytes and inodes of the containers' writable tops. Answers from memory; one thread of its own counts
// in the background, one tree at a time, when the idle disk and processor allow it, and only what somebody asked for.
//
// A count that has no end stops at a deadline. A tree rests twenty times as long as its count took, so that counting
// is never more than a twentieth of one thread's time. Thread-safe; no call waits for a count.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "runtime/base/result.h"
#include "sandbox/stats/clock.h"

namespace fermata::sandbox::stats {

struct LayerUsage {
  uint64_t bytes = 0, inodes = 0;
  int64_t measured_at_ns = 0;  // since 1970
  // Of the file system that it lies on.
  std::string device;  // "/dev/sda1", or "0:35" where it has no name
  uint64_t limit_bytes = 0, inodes_total = 0, inodes_free = 0;
};

class WritableLayers {
 public:
  // Counts the top of a container now, asking `stop` often; it ends soon after that has become true.
  using Measure = std::function<Result<LayerUsage>(const std::string& id, const std::function<bool()>& stop)>;
  struct Options {
    std::chrono::nanoseconds fresh = std::chrono::seconds(10);  // so old a count is good enough
    std::chrono::nanoseconds deadline = std::chrono::seconds(30);
    int rest_factor = 20;
  };

  WritableLayers(Measure measure, Options options, Clock clock);
  ~WritableLayers();
  WritableLayers(const WritableLayers&) = delete;
  WritableLayers& operator=(const WritableLayers&) = delete;

  // The last count, if there is one; asks for a newer one when it is old.
  std::optional<LayerUsage> Get(const std::string& id);
  void Forget(const std::string& id);
  void ForgetAll();

 private:
  struct Entry {
    std::optional<LayerUsage> usage;
    int64_t due_ns = 0;  // steady clock: not before
    bool queued = false;
  };
  void Run();
  void Count(const std::string& id, std::unique_lock<std::mutex>& lock);

  const Measure measure_;
  const Options options_;
  const Clock clock_;
  std::mutex mutex_;  // guards all below
  std::condition_variable wanted_;
  std::map<std::string, Entry> entries_;
  std::deque<std::string> queue_;
  bool ending_ = false;
  std::thread thread_;
};

// The last component of where /sys/dev/block/MAJOR:MINOR leads, below /dev; the numbers where there is none.
std::string DeviceName(uint32_t major, uint32_t minor);

}  // namespace fermata::sandbox::stats
