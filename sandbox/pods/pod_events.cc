#include "sandbox/pods/pod_events.h"

#include <algorithm>

#include "runtime/base/printable.h"

namespace fermata::sandbox::pods {
PodEvents::List::iterator PodEvents::FindSame(const SandboxId& pod, const EventText& text) {
  return std::ranges::find_if(events_, [&](const PodEvent& event) {
    return event.pod == pod && event.text.container == text.container && event.text.reason == text.reason &&
           event.text.message == text.message && event.text.type == text.type;
  });
}

void PodEvents::DropOldest(const SandboxId& pod) {
  const auto is_of_pod = [&](const PodEvent& event) { return event.pod == pod; };
  if (static_cast<size_t>(std::ranges::count_if(events_, is_of_pod)) > limits_.of_a_pod) {
    events_.erase(std::ranges::find_if(events_, is_of_pod));
  }
  if (events_.size() > limits_.in_all) events_.pop_front();
}

void PodEvents::Record(const SandboxId& pod, const SandboxSpec& spec, EventText text, int64_t at_ns) {
  text.message = OneLine(text.message, limits_.message_bytes);
  const int64_t now = at_ns != 0 ? at_ns : clock_();
  {
    const std::lock_guard lock(mutex_);
    auto event = FindSame(pod, text);
    if (event == events_.end()) {
      events_.push_back({0, pod, spec.name_space, spec.name, std::move(text), 0, now, now});
      event = std::prev(events_.end());
    } else {
      events_.splice(events_.end(), events_, event);
    }
    event->number = ++last_number_;
    ++event->count;
    event->last_ns = now;
    DropOldest(pod);
  }
  changes_.Notify();
}

void PodEvents::Forget(const SandboxId& pod) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(events_, [&](const PodEvent& event) { return event.pod == pod; });
  }
  changes_.Notify();
}

std::vector<PodEvent> PodEvents::After(uint64_t after, const SandboxId* pod) const {
  std::vector<PodEvent> found;
  const std::lock_guard lock(mutex_);
  for (const PodEvent& event : events_) {
    if (event.number > after && (pod == nullptr || event.pod == *pod)) found.push_back(event);
  }
  return found;
}

}  // namespace fermata::sandbox::pods
