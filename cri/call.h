// What is around each call of a client: it is an operation under way (runtime/base/operation.h), and at its end there
// are a log line, its time in the metrics, and where it was slow a line that says where. Thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "cri/status.h"
#include "runtime/base/operation.h"
#include "runtime/base/result.h"

namespace fermata::cri {

// A call that took so long is logged with its stages; 0: none. Before the first call.
void SetSlowCall(std::chrono::milliseconds limit);

// Failures at info, the rest at debug, slow ones at warn.
void EndCall(const Operation& operation, const Result<>& done);

enum class CallKind : uint8_t {
  kShort,
  kLong,  // lasts as long as the client wants: a stream, a pull
};

// Runs `handler` (Result<>()) on this thread.
template <typename Handler>
grpc::Status RunCall(const char* name, Operation::Clock::time_point begin, CallKind kind, Handler&& handler) {
  Operation operation(name, begin);
  if (kind == CallKind::kLong) operation.BePatient();
  const Result<> done = std::forward<Handler>(handler)();
  EndCall(operation, done);
  return done ? grpc::Status::OK : ToStatus(done.error());
}

}  // namespace fermata::cri
