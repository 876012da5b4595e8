// Records for tests of events and statistics; one thread.
#pragma once

#include <memory>
#include <string>

#include "sandbox/events/event.h"

namespace fermata::sandbox {

inline std::shared_ptr<SandboxRecord> MakeSandbox(const std::string& id, SandboxState state) {
  auto record = std::make_shared<SandboxRecord>();
  record->id = SandboxId(id);
  record->state = state;
  return record;
}

inline std::shared_ptr<ContainerRecord> MakeContainer(const std::string& id, const std::string& sandbox,
                                                      ContainerState state, const std::string& reason = "") {
  auto record = std::make_shared<ContainerRecord>();
  record->id = ContainerId(id);
  record->sandbox = SandboxId(sandbox);
  record->state = state;
  record->reason = reason;
  return record;
}

// A change of a container in a ready sandbox "s".
inline RecordChange ContainerChange(ContainerPtr before, ContainerPtr after) {
  RecordChange change;
  change.sandbox_before = change.sandbox_after = MakeSandbox("s", SandboxState::kReady);
  if (after != nullptr) change.containers.push_back(after);
  change.container_before = std::move(before);
  change.container_after = std::move(after);
  return change;
}

}  // namespace fermata::sandbox
