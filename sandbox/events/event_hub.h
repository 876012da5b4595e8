// EventHub: a bounded log of events, and who follows it. Owns one thread, which does nothing but wake listeners.
//
// A subscription is a position in the log. It starts a little in the past: who lost its connection, because the
// daemon was restarted or for another reason, is told what happened meanwhile (Limits::replay events at most, none
// older than Limits::replay_age). When the log has dropped what a subscription has not read, that one ends.
// Thread-safe. Publish never blocks and calls nobody.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/base/result.h"
#include "sandbox/events/event.h"

namespace fermata::sandbox {

class EventHub {
 public:
  using Clock = std::function<int64_t()>;  // nanoseconds since 1970
  struct Limits {
    size_t replay = 128;    // events that are kept though everybody has read them
    size_t backlog = 1024;  // and at most, for a reader that is slow
    std::chrono::nanoseconds replay_age = std::chrono::seconds(60);
  };

  // Called by the hub's thread after something was published, or the end; must not block.
  class Listener {
   public:
    Listener() = default;
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    virtual ~Listener() = default;
    virtual void OnNews() = 0;
  };

  class Subscription {
   public:
    Subscription(EventHub& hub, uint64_t next) : hub_(hub), next_(next) {}
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

    // The next event; nullptr: none yet. kResourceExhausted: some were missed; kUnavailable: the hub has ended.
    Result<EventPtr> Next();
    // The errors of Next alone.
    [[nodiscard]] Result<> Check() const;

   private:
    friend class EventHub;
    EventHub& hub_;
    uint64_t next_;  // guarded by hub_.mutex_
    std::weak_ptr<Listener> listener_;
  };

  EventHub(Limits limits, Clock clock);
  ~EventHub();
  EventHub(const EventHub&) = delete;
  EventHub& operator=(const EventHub&) = delete;

  void Publish(const RecordChange& change);
  // Must not outlive the hub. `listener` is held weakly, and woken for what is in the log already, too.
  std::unique_ptr<Subscription> Subscribe(const std::shared_ptr<Listener>& listener);
  // Every subscription ends with kUnavailable; nothing is published any more.
  void End();

  [[nodiscard]] size_t held() const;  // events in the log

 private:
  void Run();
  void Trim();  // with mutex_ held
  Result<> CheckLocked(uint64_t next) const;

  const Limits limits_;
  const Clock clock_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable news_;
  std::deque<EventPtr> log_;
  uint64_t first_ = 0;  // the number of the oldest event in the log
  std::vector<Subscription*> subscriptions_;
  bool unheard_ = false;
  bool ended_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace fermata::sandbox
