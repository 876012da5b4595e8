// Busy: marks a container as having a start, a removal or an update under way; only one at a time may. Ends with the
// object. Any thread.
#pragma once

#include <string_view>
#include <utility>

#include "runtime/base/result.h"
#include "sandbox/engine.h"

namespace fermata::sandbox {

class Busy {
 public:
  // kFailedPrecondition when something is under way already; `what` is the word for the new one.
  static Result<Busy> Take(LivePtr live, const ContainerId& id, std::string_view what) {
    const std::lock_guard lock(live->mutex);
    if (!live->busy.insert(id).second) {
      return Error::Make(ErrorCode::kFailedPrecondition, what, " container ", id.str(),
                         ": another start, remove or update runs");
    }
    return Busy(std::move(live), id);
  }
  Busy(Busy&& other) noexcept = default;
  Busy& operator=(Busy&&) = delete;
  ~Busy() {
    if (live_ == nullptr) return;
    const std::lock_guard lock(live_->mutex);
    live_->busy.erase(id_);
  }

 private:
  Busy(LivePtr live, ContainerId id) : live_(std::move(live)), id_(std::move(id)) {}
  LivePtr live_;
  ContainerId id_;
};

}  // namespace fermata::sandbox
