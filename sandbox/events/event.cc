#include "sandbox/events/event.h"

#include <array>
#include <span>

namespace fermata::sandbox {
namespace {

// kFailed: ended without ever having run.
enum class Phase : uint8_t { kNone, kCreated, kRunning, kEnded, kFailed };

Phase PhaseOf(const SandboxPtr& sandbox) {
  if (sandbox == nullptr || sandbox->state == SandboxState::kCreating) return Phase::kNone;
  return sandbox->state == SandboxState::kReady ? Phase::kRunning : Phase::kEnded;
}

Phase PhaseOf(const ContainerPtr& container) {
  if (container == nullptr) return Phase::kNone;
  if (container->state == ContainerState::kCreated) return Phase::kCreated;
  if (container->state == ContainerState::kRunning) return Phase::kRunning;
  return container->reason == "StartError" ? Phase::kFailed : Phase::kEnded;
}

constexpr EventType kCreated = EventType::kCreated, kStarted = EventType::kStarted, kStopped = EventType::kStopped,
                    kDeleted = EventType::kDeleted;
constexpr std::array kC = {kCreated}, kS = {kStarted}, kT = {kStopped}, kD = {kDeleted};
constexpr std::array kCS = {kCreated, kStarted}, kCT = {kCreated, kStopped}, kST = {kStarted, kStopped},
                     kTD = {kStopped, kDeleted};
constexpr std::array kCST = {kCreated, kStarted, kStopped};

struct Transition {
  Phase from, to;
  std::span<const EventType> events;
};

// What is not here is no event. Phases may be skipped: an exit can be recorded before the start that it belongs to.
constexpr Transition kTransitions[] = {
    {Phase::kNone, Phase::kCreated, kC},    {Phase::kNone, Phase::kRunning, kCS},
    {Phase::kNone, Phase::kEnded, kCST},    {Phase::kNone, Phase::kFailed, kCT},
    {Phase::kCreated, Phase::kRunning, kS}, {Phase::kCreated, Phase::kEnded, kST},
    {Phase::kCreated, Phase::kFailed, kT},  {Phase::kCreated, Phase::kNone, kD},
    {Phase::kRunning, Phase::kEnded, kT},   {Phase::kRunning, Phase::kFailed, kT},
    {Phase::kRunning, Phase::kNone, kTD},   {Phase::kEnded, Phase::kRunning, kS},
    {Phase::kEnded, Phase::kNone, kD},      {Phase::kFailed, Phase::kNone, kD},
};

std::span<const EventType> TypesOf(Phase from, Phase to) {
  for (const Transition& transition : kTransitions) {
    if (transition.from == from && transition.to == to) return transition.events;
  }
  return {};
}

}  // namespace

std::vector<Event> EventsOf(const RecordChange& change, int64_t now_ns) {
  const bool of_sandbox = change.container_before == nullptr && change.container_after == nullptr;
  Event event;
  event.of_sandbox = of_sandbox;
  event.created_at_ns = now_ns;
  event.sandbox = change.sandbox_after;
  event.containers = change.containers;
  const SandboxPtr& known = change.sandbox_after != nullptr ? change.sandbox_after : change.sandbox_before;
  event.owner = known != nullptr ? known->spec.owner : Owner::kPods;  // of nobody's sandbox nobody is told
  std::span<const EventType> types;
  if (of_sandbox) {
    if (known == nullptr) return {};
    event.id = known->id.str();
    types = TypesOf(PhaseOf(change.sandbox_before), PhaseOf(change.sandbox_after));
  } else {
    event.id = (change.container_after != nullptr ? change.container_after : change.container_before)->id.str();
    types = TypesOf(PhaseOf(change.container_before), PhaseOf(change.container_after));
  }
  std::vector<Event> events;
  for (const EventType type : types) {
    events.push_back(event);
    events.back().type = type;
  }
  return events;
}

}  // namespace fermata::sandbox
