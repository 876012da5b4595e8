#include "cri/call.h"

#include <fmt/format.h>

#include <array>
#include <atomic>

#include "runtime/base/log.h"
#include "runtime/base/metrics.h"

namespace fermata::cri {
namespace {

metrics::Family rpcs(metrics::Kind::kHistogram, "fermata_rpc_duration_seconds",
                     "Time of finished calls, with their wait for a thread", {"method", "code"});

std::atomic<int64_t> slow_ms = 0;

// As Go's client library writes them, so that dashboards find them.
const char* CodeName(const Result<>& done) {
  constexpr std::array kNames = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  if (done) return kNames[0];
  const auto code = static_cast<size_t>(ToStatus(done.error()).error_code());
  return code < kNames.size() ? kNames[code] : "Unknown";
}

// "create netns 3 ms, attach network 3100 ms"
std::string StagesText(const OperationReport& report) {
  std::string text;
  for (const OperationReport::Stage& stage : report.stages) {
    text += fmt::format("{}{} {:.1f} ms", text.empty() ? "" : ", ", stage.name,
                        static_cast<double>(stage.took.count()) / 1000);
  }
  return text.empty() ? "no stage of it is known" : text;
}

}  // namespace

void SetSlowCall(std::chrono::milliseconds limit) { slow_ms = limit.count(); }

void EndCall(const Operation& operation, const Result<>& done) {
  const OperationReport report = operation.Report();
  rpcs.With({report.name, CodeName(done)}).Observe(report.age);
  if (done) {
    log::debug("{} ok {} us", report.name, report.age.count());
  } else {
    log::info("{} failed after {} us: {}", report.name, report.age.count(), done.error().message());
  }
  const int64_t limit = slow_ms;
  if (limit == 0 || report.patient || report.age < std::chrono::milliseconds(limit)) return;
  log::warn("{} was slow, {} ms: {}", report.name, report.age.count() / 1000, StagesText(report));
}

}  // namespace fermata::cri
