// Cancellation: one thread says that an operation is to be given up, others ask, or wait for it in poll(2).
// Thread-safe; must outlive who uses it.
#pragma once

#include <sys/eventfd.h>

#include <atomic>
#include <memory>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

class Cancellation {
 public:
  static Result<std::unique_ptr<Cancellation>> Make() {
    UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event.valid()) return Error::Errno("eventfd");
    return std::unique_ptr<Cancellation>(new Cancellation(std::move(event)));
  }

  // For good; a second call changes nothing.
  void Cancel() {
    cancelled_ = true;
    (void)::eventfd_write(event_.get(), 1);  // fails when it is readable already
  }
  [[nodiscard]] const std::atomic<bool>& flag() const { return cancelled_; }
  // Readable once cancelled; never read from it.
  [[nodiscard]] int fd() const { return event_.get(); }

 private:
  explicit Cancellation(UniqueFd event) : event_(std::move(event)) {}

  std::atomic<bool> cancelled_ = false;
  UniqueFd event_;
};

}  // namespace fermata::overlay
