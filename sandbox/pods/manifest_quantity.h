// Kubernetes' quantities ("500m", "1.5Gi", "12e6"), exactly: no floating point. Pure, any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::sandbox::pods {

// In units of 10^-scale, rounded up as kubelet does: scale 3 gives thousandths, 0 whole ones.
// kInvalidArgument: not a quantity, negative, or more than an int64 holds.
Result<int64_t> ParseQuantity(std::string_view text, int scale);

}  // namespace fermata::sandbox::pods
