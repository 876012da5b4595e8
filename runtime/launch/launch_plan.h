// LaunchPlan: the parent's side of a launch. Values (a Spec, an overlay, what is joined) become a flat list
// of steps; pure, allocates as it likes, touches no kernel object. What the steps mean: plan_format.h.
//
// The order is the one proven to work: host paths first, then the join, then the container's own mounts,
// then identity, capabilities, seccomp. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/launch/plan_format.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime {

// A finished plan: its bytes, as the monitor gets them.
class LaunchPlan {
 public:
  explicit LaunchPlan(std::vector<std::byte> data) : data_(std::move(data)) {}

  [[nodiscard]] std::span<const std::byte> bytes() const { return data_; }
  [[nodiscard]] PlanView view() const { return PlanView(data_); }
  // What step `index` was doing, for the error text: "mount proc on /proc". One past the last: the execution.
  [[nodiscard]] std::string Describe(uint32_t index) const;
  // The steps as text, one a line, for tests and debugging.
  [[nodiscard]] std::vector<std::string> Lines() const;

 private:
  std::vector<std::byte> data_;
};

// Collects steps. Texts are stored once each.
class PlanBuilder {
 public:
  // A new descriptor slot.
  int16_t Slot();
  // The slot of the next descriptor that the launcher gives; all of them before the first Slot().
  int16_t Given();
  // The slot of a user namespace with these maps, as /proc/PID/uid_map takes them; the pod's without.
  int16_t UserNamespace(std::string_view uid_map, std::string_view gid_map);
  int16_t PodUserNamespace();
  // Adds a step; `label` says what it does in an error text.
  PlanStep& Add(Op op, std::string_view label);
  PlanStep& Last() { return steps_.back(); }
  uint32_t Text(std::string_view text);
  // Bytes of an array, 8-byte aligned.
  uint32_t Array(const void* data, size_t size);
  void Execute(std::span<const std::string> candidates, std::span<const std::string> arguments,
               std::span<const std::string> environment, std::string_view label);
  PlanHeader& header() { return header_; }
  // kInvalidArgument when there are too many slots, kResourceExhausted beyond kMaxPlanBytes.
  Result<LaunchPlan> Finish();

 private:
  uint32_t Texts(std::span<const std::string> texts);

  PlanHeader header_;
  std::vector<PlanStep> steps_;
  std::string bytes_;
  std::map<std::string, uint32_t, std::less<>> known_texts_;
  std::vector<PlanUserNamespace> user_namespaces_;
  int next_slot_ = kFirstFreeSlot;
  bool has_nul_ = false;  // a text with a NUL inside would be cut short silently
};

}  // namespace fermata::runtime
