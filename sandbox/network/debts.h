// Debts: what has to be taken down and could not yet be, retried in the background with back-off until it succeeds.
// Thread-safe. Its own thread only keeps the time; each attempt runs on the pool, so that one that hangs holds up no
// other. Keeps the time of one regular chore besides.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/base/result.h"
#include "runtime/base/task_pool.h"

namespace fermata::sandbox {

class Debts {
 public:
  using Clock = std::chrono::steady_clock;
  // Takes one down; an error is tried again.
  using Pay = std::function<Result<>(const std::string& id)>;

  struct Backoff {
    std::chrono::milliseconds first = std::chrono::seconds(1);
    std::chrono::milliseconds most = std::chrono::minutes(5);
  };

  struct Chore {
    std::chrono::milliseconds every;
    std::function<void()> work;  // on the pool
  };

  Debts(TaskPool& pool, Pay pay, Backoff backoff, Chore chore);
  ~Debts() { End(); }
  Debts(const Debts&) = delete;
  Debts& operator=(const Debts&) = delete;

  // Tries at once; does nothing for one that is owed already.
  void Add(const std::string& id);
  // True once `id` is paid; false after `limit`, or as soon as an attempt has failed.
  bool Wait(const std::string& id, std::chrono::milliseconds limit);
  // All are tried at once, whatever their back-off.
  void Hurry();
  // No more attempts begin.
  void End();

 private:
  struct Debt {
    Clock::time_point due;
    std::chrono::milliseconds pause{0};  // before the next attempt but one
    int failures = 0;
    bool running = false;
  };
  void Keep();
  void Try(const std::string& id);

  TaskPool& pool_;
  const Pay pay_;
  const Backoff backoff_;
  const Chore chore_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::map<std::string, Debt> debts_;
  bool ending_ = false;
  std::thread keeper_;
};

}  // namespace fermata::sandbox
