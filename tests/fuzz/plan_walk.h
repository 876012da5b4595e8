// Reads a launch plan as the cloned child does: every text to its end, every array to its last element. With the
// address sanitizer a position that leads out of the plan is found.
#pragma once

#include <span>

#include "runtime/launch/launch_plan.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::runtime {

class PlanWalk {
 public:
  explicit PlanWalk(const PlanView& plan, std::span<const std::byte> data)
      : plan_(plan), begin_(reinterpret_cast<const char*>(data.data())), end_(begin_ + data.size()) {}

  void All() {
    for (const PlanStep& step : plan_.steps()) Step(step);
    const PlanHeader& header = plan_.header();
    Texts(header.candidates, header.candidate_count);
    Texts(header.arguments, header.argument_count);
    Texts(header.environment, header.environment_count);
    Text(header.exec_label);
    for (const PlanUserNamespace& entry : plan_.user_namespaces()) {
      Inside(reinterpret_cast<const char*>(&entry), sizeof entry);
      Text(entry.uid_map);
      Text(entry.gid_map);
    }
  }

 private:
  void Inside(const char* from, size_t size) const {
    fuzz::Check(from >= begin_ && from <= end_ && size <= static_cast<size_t>(end_ - from), "outside of the plan");
    for (size_t i = 0; i < size; ++i) sum_ = sum_ + static_cast<unsigned char>(from[i]);
  }
  void Text(uint32_t position) const {
    if (const char* text = plan_.Text(position)) Inside(text, std::strlen(text) + 1);
  }
  void Texts(uint32_t position, uint32_t count) const {
    for (uint32_t i = 0; i < count; ++i) {
      Inside(reinterpret_cast<const char*>(plan_.Array(position) + i), sizeof(uint32_t));
      fuzz::Check(plan_.Array(position)[i] != kNoText, "a string that is not there");
      Text(plan_.Array(position)[i]);
    }
  }
  void Slot(int16_t slot) const { fuzz::Check(slot >= kNoSlot && slot < kMaxSlots, "a slot that is none"); }
  void Step(const PlanStep& step) const {
    Slot(step.fd);
    Slot(step.fd2);
    Slot(step.out);
    Text(step.label);
    Text(step.text2);
    switch (step.op) {
      case Op::kGroups:
        return Array(step, sizeof(uint32_t));
      case Op::kSeccomp:
      case Op::kCpuAffinity:
        return Array(step, sizeof(uint64_t));
      case Op::kScheduler:
        return Inside(plan_.Bytes(step.text), sizeof(SchedulerAttributes));
      case Op::kMemoryPolicy:
        if (step.b != 0) Inside(plan_.Bytes(step.text), step.b * sizeof(uint64_t));
        return;
      case Op::kHook:
        return Texts(step.text, static_cast<uint32_t>(1 + step.a + step.b));
      default:
        return Text(step.text);
    }
  }
  void Array(const PlanStep& step, size_t element) const {
    if (step.a != 0) Inside(plan_.Bytes(step.text), step.a * element);
  }

  const PlanView& plan_;
  const char *begin_, *end_;
  mutable volatile unsigned sum_ = 0;  // so that the reads happen
};

inline void WalkPlan(const LaunchPlan& plan) {
  fuzz::Check(ValidatePlan(plan.bytes()), "does not pass its check");
  const PlanView view = plan.view();
  PlanWalk(view, plan.bytes()).All();
  const size_t steps = view.steps().size();
  fuzz::Check(plan.Lines().size() == steps, "lines");
  for (uint32_t i = 0; i <= steps + 1; ++i) (void)plan.Describe(i);
}

}  // namespace fermata::runtime
