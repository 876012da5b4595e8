#include "cri/cli/follow.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <iostream>
#include <map>

namespace fermata::cri::cli {
namespace {

constexpr auto kReconnect = std::chrono::seconds(15);

std::string TimeText(int64_t unix_ns) {
  const time_t seconds = unix_ns / 1'000'000'000;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  (void)std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:09}Z ", text, unix_ns % 1'000'000'000);
}

}  // namespace

void LogPrinter::Print(const fv1::LogRecord& record) {
  const std::lock_guard lock(mutex_);
  std::ostream& out = record.is_stderr() ? std::cerr : std::cout;
  bool& continues = continues_[{record.container(), record.is_stderr()}];
  if (!continues) {
    out << prefixes_.Prefix(record.container());
    if (timestamps_) out << TimeText(record.time_unix_nanos());
  }
  continues = record.partial();
  out << record.content();
  if (!record.partial()) out << '\n';
  out.flush();
}

Result<> FollowLogs(const Client& client, fv1::LogsRequest request, LogPrinter& printer) {
  std::map<std::string, fv1::LogPosition> positions;  // by container
  for (const fv1::LogPosition& position : request.resume()) positions[position.container()] = position;
  for (;;) {
    grpc::ClientContext context;
    const auto reader = client.pods->Logs(&context, request);
    fv1::LogRecord record;
    while (reader->Read(&record)) {
      if (!record.position_only()) printer.Print(record);
      positions[record.container()] = record.next();
    }
    const grpc::Status status = reader->Finish();
    const bool lost =
        status.error_code() == grpc::StatusCode::UNAVAILABLE || status.error_code() == grpc::StatusCode::CANCELLED;
    if (!request.follow() || !lost) return ToResult(status);
    if (!client.channel->WaitForConnected(std::chrono::system_clock::now() + kReconnect)) return ToResult(status);
    // What comes new meanwhile is wanted whole; `since` still holds for it.
    request.clear_resume();
    for (const auto& [container, position] : positions) *request.add_resume() = position;
    if (!positions.empty()) request.set_tail_lines(0);
  }
}

}  // namespace fermata::cri::cli
