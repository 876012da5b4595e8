// Step tables: host-side set-up with undo. Rollback, stop, remove and crash recovery are the same table.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/log.h"
#include "runtime/base/operation.h"
#include "runtime/base/result.h"

namespace fermata::sandbox {

template <typename Build>
struct Step {
  std::string_view name;
  Result<> (*apply)(Build&);
  Result<> (*undo)(Build&);  // succeeds also when apply never ran, or ran half way
};

// For tests: called before each step; an error makes the step fail.
using FaultHook = std::function<Result<>(std::string_view step)>;

// In reverse. Goes on after a failure, logs it, and gives the first one.
template <typename Build>
Result<> UndoSteps(std::span<const Step<Build>> steps, Build& build) {
  Result<> first;
  for (size_t i = steps.size(); i-- > 0;) {
    const OperationStage stage("undo " + std::string(steps[i].name));
    Result<> undone = steps[i].undo(build);
    if (undone) continue;
    log::warn("undo {}: {}", steps[i].name, undone.error().message());
    if (first) first = std::move(undone).error().Wrap("undo ", steps[i].name);
  }
  return first;
}

// In order; after a failure everything up to and including the failed step is undone.
template <typename Build>
Result<> RunSteps(std::span<const Step<Build>> steps, Build& build, const FaultHook& fault) {
  for (size_t i = 0; i < steps.size(); ++i) {
    Result<> done = fault ? fault(steps[i].name) : Result<>();
    if (done) {
      const OperationStage stage(steps[i].name);
      done = steps[i].apply(build);
    }
    if (done) continue;
    (void)UndoSteps(steps.first(i + 1), build);  // the failure of the step is the one to tell
    return std::move(done).error().Wrap(steps[i].name);
  }
  return {};
}

}  // namespace fermata::sandbox
