// Event: something happened to a sandbox or a container, with both as they are after it. Immutable, any thread.
//
// Source: GetContainerEvents of the CRI, which tells of sandboxes as if they were containers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/types.h"

namespace fermata::sandbox {

enum class EventType : uint8_t { kCreated, kStarted, kStopped, kDeleted };

struct Event {
  std::string id;  // of the container, or of the sandbox
  bool of_sandbox = false;
  EventType type = EventType::kCreated;
  int64_t created_at_ns = 0;  // since 1970
  Owner owner = Owner::kCri;  // of the sandbox
  SandboxPtr sandbox;         // nullptr: it has been removed
  std::vector<ContainerPtr> containers;
};
using EventPtr = std::shared_ptr<const Event>;

// One change of the records. Of a container if one of the container pointers is set, else of the sandbox.
struct RecordChange {
  SandboxPtr sandbox_before, sandbox_after;  // equal in a change of a container
  ContainerPtr container_before, container_after;
  std::vector<ContainerPtr> containers;  // of the sandbox, after the change
};

// What the change means: none, one or several events in order. A sandbox that is only an intent does not exist yet.
std::vector<Event> EventsOf(const RecordChange& change, int64_t now_ns);

}  // namespace fermata::sandbox
