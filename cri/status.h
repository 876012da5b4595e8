// Errors of ours to gRPC's statuses and back: the only place that knows gRPC's codes. Pure, any thread.
#pragma once

#include <grpcpp/support/status.h>

#include "runtime/base/result.h"

namespace fermata::cri {

// kInternal becomes UNKNOWN, as of containerd: clients cut that code off the texts of PullImage and compare how
// the rest begins. Texts are cut at 2 KiB: they travel in the trailing headers, percent-encoded, and a client
// that finds more than 8 KiB there drops the whole answer.
grpc::Status ToStatus(const Error& error);

// For clients. Also for codes that the transport makes (UNAVAILABLE: nobody listens). OK is no error: kInternal.
Error FromStatus(const grpc::Status& status);

}  // namespace fermata::cri
