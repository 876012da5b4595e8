// Stops: what may end a wait of one request: the cancellation of who asked, and the interruption of the reader.
// A small value; several threads may use copies.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "overlay/cancellation.h"

namespace fermata::overlay {

struct Stops {
  std::vector<std::shared_ptr<const Cancellation>> causes;  // none of them null

  [[nodiscard]] bool stopped() const;
  // Waits for `duration`; kCancelled as soon as there is a cause.
  [[nodiscard]] Result<> Sleep(std::chrono::milliseconds duration) const;
};

}  // namespace fermata::overlay
