// Waits for pods that were applied.
#pragma once

#include "cri/cli/client.h"
#include "cri/cli/commands.h"
#include "runtime/base/result.h"

namespace fermata::cri::cli {

// By options.wait: until all are ready, or have ended; then the exit status is 0, or, of what has ended, that of the
// first container that failed. kDeadlineExceeded after the timeout; kFailedPrecondition when one has ended that was to
// be ready.
Result<int> WaitForPods(const Client& client, const fv1::ApplyResponse& applied, const RunOptions& options);

}  // namespace fermata::cri::cli
