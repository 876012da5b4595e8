#include "sandbox/events/event_hub.h"

#include <algorithm>
#include <utility>

namespace fermata::sandbox {

EventHub::EventHub(Limits limits, Clock clock)
    : limits_(limits), clock_(std::move(clock)), thread_([this] { Run(); }) {}

EventHub::~EventHub() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = stopping_ = true;
  }
  news_.notify_all();
  thread_.join();
}

void EventHub::Publish(const RecordChange& change) {
  std::vector<Event> events = EventsOf(change, clock_());
  if (events.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    for (Event& event : events) log_.push_back(std::make_shared<const Event>(std::move(event)));
    Trim();
    unheard_ = true;
  }
  news_.notify_all();
}

// What somebody has yet to read stays, within the limit; what all have read is kept for who comes later.
void EventHub::Trim() {
  const auto drop_to = [this](uint64_t first) {
    for (; first_ < first; ++first_) log_.pop_front();
  };
  const uint64_t end = first_ + log_.size();
  if (log_.size() > limits_.backlog) drop_to(end - limits_.backlog);
  if (log_.size() <= limits_.replay) return;
  uint64_t unread = end - limits_.replay;
  for (const Subscription* subscription : subscriptions_) {
    if (subscription->next_ >= first_) unread = std::min(unread, subscription->next_);
  }
  drop_to(unread);
}

std::unique_ptr<EventHub::Subscription> EventHub::Subscribe(const std::shared_ptr<Listener>& listener) {
  const int64_t oldest = clock_() - limits_.replay_age.count();
  std::unique_ptr<Subscription> subscription;
  {
    const std::lock_guard lock(mutex_);
    const size_t kept = std::min(log_.size(), limits_.replay);
    auto begin = log_.end() - static_cast<std::ptrdiff_t>(kept);
    while (begin != log_.end() && (*begin)->created_at_ns < oldest) ++begin;
    subscription = std::make_unique<Subscription>(*this, first_ + static_cast<uint64_t>(begin - log_.begin()));
    subscription->listener_ = listener;
    subscriptions_.push_back(subscription.get());
    unheard_ = true;
  }
  news_.notify_all();
  return subscription;
}

EventHub::Subscription::~Subscription() {
  const std::lock_guard lock(hub_.mutex_);
  std::erase(hub_.subscriptions_, this);
}

Result<> EventHub::CheckLocked(uint64_t next) const {
  if (ended_) return Error::Make(ErrorCode::kUnavailable, "the daemon is ending");
  if (next >= first_) return {};
  return Error::Make(ErrorCode::kResourceExhausted,
                     "events came faster than they were read: ", std::to_string(first_ - next),
                     " are lost; list again, then follow again");
}

Result<EventPtr> EventHub::Subscription::Next() {
  const std::lock_guard lock(hub_.mutex_);
  RETURN_IF_ERROR(hub_.CheckLocked(next_));
  const uint64_t index = next_ - hub_.first_;
  if (index >= hub_.log_.size()) return EventPtr();
  ++next_;
  return hub_.log_[index];
}

Result<> EventHub::Subscription::Check() const {
  const std::lock_guard lock(hub_.mutex_);
  return hub_.CheckLocked(next_);
}

void EventHub::End() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = unheard_ = true;
  }
  news_.notify_all();
}

size_t EventHub::held() const {
  const std::lock_guard lock(mutex_);
  return log_.size();
}

// Listeners are called without the lock: they come back with Next.
void EventHub::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait(lock, [this] { return stopping_ || unheard_; });
    if (stopping_) return;
    unheard_ = false;
    std::vector<std::shared_ptr<Listener>> listeners;
    for (const Subscription* subscription : subscriptions_) {
      if (auto listener = subscription->listener_.lock()) listeners.push_back(std::move(listener));
    }
    lock.unlock();
    for (const auto& listener : listeners) listener->OnNews();
    listeners.clear();  // the last owner may be this one: not with the lock
    lock.lock();
  }
}

}  // namespace fermata::sandbox
