// PodEvents: what happened to the pods of manifests, in kubelet's words. Owns the events, in memory: a new daemon
// begins with none. Bounded; the oldest go first. Thread-safe; nothing here blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/pods/change_notifier.h"
#include "sandbox/types.h"

namespace fermata::sandbox::pods {

enum class EventType : uint8_t { kNormal, kWarning };

// What is told of one happening.
struct EventText {
  EventType type = EventType::kNormal;
  std::string reason;     // Pulled, Created, Started, Killing, Unhealthy, ...
  std::string message;    // anybody's bytes; made printable, one line, and cut
  std::string container;  // its name; empty: it is about the pod
};

struct PodEvent {
  uint64_t number = 0;  // of the last time that it happened; larger than those of all that were before
  SandboxId pod;
  std::string name_space, pod_name;
  EventText text;
  uint64_t count = 0;
  int64_t first_ns = 0, last_ns = 0;  // since 1970
};

struct EventLimits {
  size_t of_a_pod = 100, in_all = 1000, message_bytes = 1024;
};

class PodEvents {
 public:
  using Clock = std::function<int64_t()>;  // nanoseconds since 1970

  explicit PodEvents(Clock clock, EventLimits limits = {}) : clock_(std::move(clock)), limits_(limits) {}

  // The same of the same pod counts one more. `at_ns` 0: now.
  void Record(const SandboxId& pod, const SandboxSpec& spec, EventText text, int64_t at_ns = 0);
  // Of a pod that is gone.
  void Forget(const SandboxId& pod);

  // Those with a number above `after`, oldest first; nullptr: of all pods.
  [[nodiscard]] std::vector<PodEvent> After(uint64_t after, const SandboxId* pod) const;
  // Tells of every event.
  ChangeNotifier& changes() { return changes_; }

 private:
  using List = std::list<PodEvent>;
  List::iterator FindSame(const SandboxId& pod, const EventText& text);
  void DropOldest(const SandboxId& pod);

  const Clock clock_;
  const EventLimits limits_;
  ChangeNotifier changes_;
  mutable std::mutex mutex_;  // guards what follows
  List events_;               // by number
  uint64_t last_number_ = 0;
};

}  // namespace fermata::sandbox::pods
