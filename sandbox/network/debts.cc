#include "sandbox/network/debts.h"

#include <algorithm>

#include "runtime/base/log.h"
#include "runtime/base/operation.h"

namespace fermata::sandbox {

Debts::Debts(TaskPool& pool, Pay pay, Backoff backoff, Chore chore)
    : pool_(pool), pay_(std::move(pay)), backoff_(backoff), chore_(std::move(chore)), keeper_([this] { Keep(); }) {}

void Debts::Add(const std::string& id) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_ || !debts_.try_emplace(id, Debt{Clock::now(), backoff_.first}).second) return;
  }
  changed_.notify_all();
}

bool Debts::Wait(const std::string& id, std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  const auto answered = [&] {
    const auto found = debts_.find(id);
    return ending_ || found == debts_.end() || found->second.failures > 0;
  };
  (void)changed_.wait_for(lock, limit, answered);
  return !debts_.contains(id);
}

void Debts::Hurry() {
  {
    const std::lock_guard lock(mutex_);
    for (auto& [id, debt] : debts_) {
      debt.due = Clock::now();
      debt.failures = 0;  // who waits wants to know of the next attempt
    }
  }
  changed_.notify_all();
}

void Debts::End() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (keeper_.joinable()) keeper_.join();
}

void Debts::Keep() {
  std::unique_lock lock(mutex_);
  Clock::time_point chore_due = Clock::now() + chore_.every;
  while (!ending_) {
    const auto now = Clock::now();
    if (chore_due <= now) {
      pool_.Post(chore_.work);
      chore_due = now + chore_.every;
    }
    Clock::time_point next = chore_due;
    for (auto& [id, debt] : debts_) {
      if (debt.running) continue;
      if (debt.due <= now) {
        debt.running = true;
        pool_.Post([this, id = id] { Try(id); });
      } else {
        next = std::min(next, debt.due);
      }
    }
    (void)changed_.wait_until(lock, next);
  }
}

void Debts::Try(const std::string& id) {
  Operation operation("PayNetworkDebt");
  operation.BePatient();  // a plugin has its own deadline
  const About about(About::What::kSandbox, id);
  const Result<> paid = pay_(id);
  if (!paid && paid.error().code() != ErrorCode::kCancelled) {
    log::warn("take down the network of pod sandbox {}: {}", id, paid.error().message());
  }
  {
    const std::lock_guard lock(mutex_);
    const auto found = debts_.find(id);
    if (found == debts_.end()) return;
    if (paid) {
      debts_.erase(found);
    } else {
      Debt& debt = found->second;
      debt.running = false;
      ++debt.failures;
      debt.due = Clock::now() + debt.pause;
      debt.pause = std::min(debt.pause * 2, backoff_.most);
    }
  }
  changed_.notify_all();
}

}  // namespace fermata::sandbox
